// Rings vector 200 of interrupt message storage, and says what came out.
module ring;
  reg clk = 1'b0, rst = 1'b1;
  always #5 clk = !clk;

  reg event_valid = 1'b0, csr_access_valid = 1'b0;
  reg [23:0] csr_access_address = 24'd0;
  reg [63:0] csr_access_data = 64'd0;
  wire event_ready, message_valid, csr_access_ready, csr_result_valid;
  wire [63:0] message_address;
  wire [31:0] message_data;

  tocsin_interrupts dut (
    .clk(clk), .rst(rst), .enable(1'b0), .function_mask(1'b0), .bus_master(1'b1),
    .reset_ims(1'b0), .busy(),
    .event_valid(event_valid), .event_ready(event_ready),
    .event_index(14'd200), .event_ims(1'b1), .event_completion(1'b0),
    .message_valid(message_valid), .message_ready(1'b1),
    .message_address(message_address), .message_data(message_data),
    .check_valid(1'b0), .check_ready(), .check_vector_index(14'd0), .check_vector_ims(1'b0),
    .check_pasid(20'd0), .check_pasid_enable(1'b0),
    .verdict_valid(), .verdict_ready(1'b1), .verdict_data(),
    .csr_access_valid(csr_access_valid), .csr_access_ready(csr_access_ready),
    .csr_access_address(csr_access_address), .csr_access_write(1'b1), .csr_access_strobe(8'hff),
    .csr_access_data(csr_access_data),
    .csr_result_valid(csr_result_valid), .csr_result_ready(1'b1), .csr_result_data()
  );

  // Inputs change and outputs are read half a clock before the edge that counts.
  task store(input [23:0] address, input [63:0] data);
    begin
      csr_access_valid = 1'b1;
      csr_access_address = address;
      csr_access_data = data;
      while (!csr_access_ready) @(negedge clk);
      @(negedge clk) csr_access_valid = 1'b0;
      while (!csr_result_valid) @(negedge clk);
      @(negedge clk);
    end
  endtask

  integer clocks = 0;
  always @(negedge clk) begin
    clocks = clocks + 1;
    if (message_valid) $display("message %h %h", message_address, message_data);
    if (clocks > 2000) begin
      $display("late");
      $finish;
    end
  end

  initial begin
    repeat (4) @(negedge clk);
    rst = 1'b0;
    store(`IMS + 24'd3200, 64'hfee12344);
    store(`IMS + 24'd3208, 64'h00000000_cafe0200);
    event_valid = 1'b1;
    while (!event_ready) @(negedge clk);
    @(negedge clk) event_valid = 1'b0;
    repeat (20) @(negedge clk);
    $display("done");
    $finish;
  end
endmodule
