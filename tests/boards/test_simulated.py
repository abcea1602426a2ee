"""The whole logic of a board, simulated at its serial pins, on a line that is no good."""

import pytest

from boards.cli import main

NOISE = 1000
"""One byte in so many is changed, lost or added to."""


@pytest.mark.timeout(2400)
def test_demonstration_runs_to_the_same_zeros_over_a_noisy_line(capfd):
    arguments = ["demo", "--board", "ulx3s_85f", "--vectors", "2", "--operations-per-adi", "1"]
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--noise", str(NOISE)])
    out = capfd.readouterr().out
    assert caught.value.code == 0, out
    last = out.strip().splitlines()[-1]
    assert last == (
        "demo: adis=2 vectors=2 operations=2 interrupts=2 lost=0 doubled=0 misdirected=0"
    )

    def row(title):
        (line,) = [line for line in out.splitlines() if title in line]
        return int(line.split("│")[2].replace(",", ""))

    assert row("Bytes damaged on the line") > 0
    assert row("TLPs sent again by the host") > 0
    assert row("Frames that arrived damaged") > 0
