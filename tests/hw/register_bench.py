"""Reach registers of BAR0 from a bench, and give commands through them."""

from hw.regs.bar0 import GROUP_CONFIG, QUEUE_CONFIG, bar0

from .streams import offer

WATCHDOG = 40_000


async def take(ctx, port):
    """Take one payload from a port."""
    ctx.set(port.ready, 1)
    while True:
        _, _, valid, payload = await ctx.tick().sample(port.valid, port.payload)
        if valid:
            ctx.set(port.ready, 0)
            return payload


async def pause(ctx, clocks):
    """Let clocks pass; a background process may be ended here at any time."""
    for _ in range(clocks):
        await ctx.tick()


class Registers:
    """The host's side of BAR0.

    ``control`` and ``tables`` are the ports of the bus that answer for registers and for the tables
    of queues and groups; without the second, tables are out of reach.
    """

    def __init__(self, config, control, tables=None):
        self.config, self.space = config, bar0(config)
        self._control, self._tables = control, tables

    async def access(self, ctx, address, *, data=None, strobe=0xFF):
        table = self.space.table("grpcfg").offset <= address < self.space.table("wqcfg").end
        port = self._tables if table else self._control
        payload = {"address": address, "write": data is not None, "strobe": strobe}
        await offer(ctx, port.access, payload | {"data": data or 0})
        return await take(ctx, port.result)

    async def read(self, ctx, address, size=8):
        word = await self.access(ctx, address & ~7)
        return word >> 8 * (address & 7) & ((1 << 8 * size) - 1)

    async def write(self, ctx, address, data, size=8):
        shift = address & 7
        strobe = ((1 << size) - 1) << shift
        await self.access(ctx, address & ~7, data=data << 8 * shift, strobe=strobe)

    def offset(self, name):
        return self.space.register(name).offset

    async def get(self, ctx, name):
        register = self.space.register(name)
        value = 0
        for word in range(-(-register.width // 64)):
            size = min(8, register.size_bytes)
            value |= await self.read(ctx, register.offset + 8 * word, size) << 64 * word
        return register.unpack(value)

    async def put(self, ctx, name, **fields):
        """Write a whole register."""
        register = self.space.register(name)
        value, size = register.pack(**fields), min(8, register.size_bytes)
        for word in range(-(-register.width // 64)):
            part = value >> 64 * word & ((1 << 64) - 1)
            await self.write(ctx, register.offset + 8 * word, part, size)

    async def command(self, ctx, code, operand=0, *, interrupt=0):
        """Run a command; returns its error code and result."""
        await self.start(ctx, code, operand, interrupt=interrupt)
        return await self.finish(ctx)

    async def start(self, ctx, code, operand=0, *, interrupt=0):
        word = operand | int(code) << 20 | interrupt << 31
        await self.write(ctx, self.offset("cmd"), word, 4)

    async def finish(self, ctx):
        for _ in range(WATCHDOG):
            status = await self.get(ctx, "cmdstatus")
            if not status["active"]:
                return status["error"], status["result"]
        raise AssertionError("the command does not end")

    async def configure_queue(self, ctx, queue, *, size=4, threshold=None, **fields):
        """Write the whole configuration of a queue; what is not named is shared and sound."""
        fields = {
            "size": size,
            "threshold": size if threshold is None else threshold,
            "priority": 1,
            "pasid_enable": 1,
            "max_transfer_log2": 12,
            "max_batch_log2": 1,
        } | fields
        for register in QUEUE_CONFIG:
            if register.name in ("status", "operations"):
                continue
            names = {item.name for item in register.fields} & fields.keys()
            word = register.pack(**{name: fields.pop(name) for name in names})
            address = self.space.table("wqcfg").entry(queue, register.name)
            await self.write(ctx, address, word, 4)
        assert not fields, fields

    async def queue(self, ctx, queue, register):
        layout = next(item for item in QUEUE_CONFIG if item.name == register)
        address = self.space.table("wqcfg").entry(queue, register)
        return layout.unpack(await self.read(ctx, address, 4))

    async def configure_group(self, ctx, group, *, queues=0, engines=0, **flags):
        table = self.space.table("grpcfg")
        words = (queues, engines, GROUP_CONFIG[2].pack(**flags))
        for register, word in zip(GROUP_CONFIG, words, strict=True):
            await self.write(ctx, table.entry(group, register.name), word)
