"""Whatever a host says, TLPs stay whole and in order, nothing is lost, and nothing hangs."""

import random

import pytest

from .tether_bench import Bench, random_tlp
from .tether_host import (
    WELCOME,
    Host,
    frame,
    head,
    status_frame,
    tlp_frame,
)


class Silent(Host):
    """Opens, then says only what it is told to; ``heard`` holds every TLP frame."""

    def __init__(self):
        super().__init__()
        self.heard: list[tuple[int, list[int]]] = []

    def say_status(self, *, reject=False):
        pass

    def _again(self):
        pass

    def _acknowledged(self, number):
        pass

    def _hear_tlp(self, number, dws):
        self.heard.append((number, dws))

    @property
    def last(self) -> tuple:
        """Number, acknowledgement and reject of the latest STATUS."""
        return self.statuses[-1][:3]


def play(script, **options):
    """Run a script with a silent host."""
    bench = Bench(**options)
    bench.host = Silent()

    async def main(ctx):
        async def said(content=b"", clocks=1200):
            bench.host.say(content)
            await bench.until(ctx, lambda: not bench.host.out)
            await ctx.tick().repeat(clocks)

        await bench.welcome(ctx)
        await script(bench, bench.host, said)

    bench.run(main)
    return bench


def tlps(seed: int, count: int, length: int | None = None) -> list[list[int]]:
    rng = random.Random(seed)
    return [random_tlp(rng, length) for _ in range(count)]


def test_sixteen_tlps_are_sent_without_acknowledgement_and_no_more():
    sent = tlps(1, 40, 4)

    async def script(bench, host, said):
        bench.device.to_send.extend(sent)
        await said()
        assert host.heard == list(enumerate(sent[:16]))
        await said(status_frame(0, 5))
        assert host.heard == list(enumerate(sent[:21]))
        await said(tlp_frame(0, 21, [1, 2, 3]))
        assert host.heard == list(enumerate(sent[:37]))

    play(script)


def test_ring_takes_no_more_than_fits_and_keeps_what_it_has():
    sent = tlps(2, 12, 134)

    async def script(bench, host, said):
        bench.device.to_send.extend(sent)
        await said(clocks=9000)
        assert host.heard == list(enumerate(sent[:7]))
        await said(status_frame(0, 0, reject=True), clocks=9000)
        assert host.heard[7:] == list(enumerate(sent[:7]))
        await said(status_frame(0, 7), clocks=9000)
        assert host.heard[14:] == list(enumerate(sent))[7:]

    play(script)


def test_acknowledgements_that_name_nothing_sent_are_ignored():
    sent = tlps(3, 40, 3)

    async def script(bench, host, said):
        bench.device.to_send.extend(sent)
        await said(status_frame(0, 4), clocks=2500)
        await said(status_frame(0, 4), clocks=2500)
        count = len(host.heard)
        assert count == 20
        for wrong in (3, 21, 100, 255, 0, 36):
            await said(status_frame(0, wrong), clocks=100)
        assert len(host.heard) == count
        await said(status_frame(0, 10, reject=True))
        assert host.heard[count:] == list(enumerate(sent))[10:26]

    play(script)


def test_reject_while_sending_again_and_acknowledgement_ahead_of_it():
    sent = tlps(4, 10, 60)

    async def script(bench, host, said):
        bench.device.to_send.extend(sent)
        await said(clocks=4000)
        await said(status_frame(0, 2, reject=True), clocks=300)
        await said(status_frame(0, 6), clocks=4000)
        again = host.heard[10:]
        assert again[-1] == (9, sent[9])
        assert all(dws == sent[number] for number, dws in again)
        numbers = [number for number, _ in again]
        assert numbers[0] == 2 and 5 not in numbers and {6, 7, 8, 9} <= set(numbers)

    play(script)


GOOD = [5, 6, 7]


@pytest.mark.parametrize(
    "bad",
    [
        tlp_frame(0, 0, [1, 2, 3], length=2),
        tlp_frame(0, 0, [1, 2, 3], length=4),
        tlp_frame(0, 0, [], length=0),
        tlp_frame(0, 0, [], length=1),
        tlp_frame(0, 0, [1] * 135),
        tlp_frame(0, 0, [1] * 255),
        tlp_frame(0, 0, [1] * 1500, length=220),
        tlp_frame(0, 0, [1] * 390, length=134),
        frame([head(0x55, 0, 0, 3), 1, 2, 3]),
        frame([head(WELCOME, 1, 0, 0), *[0] * 8]),
        frame([head(0x53, 0, 0, 0), 1, 2, 3]),
        frame([head(0x48, 1, 1, 1), 0]),
        random.Random(1).randbytes(3000) + b"\x7e",
    ],
)
def test_frame_that_is_none_of_the_hosts_is_dropped_and_the_next_taken(bad):
    async def script(bench, host, said):
        await said(bad)
        assert bench.device.taken == [] and host.last == (0, 0, 0)
        assert bench.errors >= 1
        await said(tlp_frame(0, 0, GOOD))
        assert bench.device.taken == [GOOD] and host.last == (0, 1, 0)

    play(script)


def test_tlp_with_another_number_is_dropped_and_a_gap_rejected_once():
    async def script(bench, host, said):
        await said(tlp_frame(0, 0, GOOD))
        await said(tlp_frame(0, 0, [1, 1, 1]) + tlp_frame(200, 0, [1, 1, 1]))
        assert [status[2] for status in host.statuses if status[2]] == []
        for number in (2, 3, 4, 2, 3):
            await said(tlp_frame(number, 0, [1, 1, 1]), clocks=300)
        assert [status[1] for status in host.statuses if status[2]] == [1]
        await said(tlp_frame(1, 0, [8, 8, 8]) + tlp_frame(3, 0, [1, 1, 1]))
        assert [status[1] for status in host.statuses if status[2]] == [1, 2]
        assert bench.device.taken == [GOOD, [8, 8, 8]] and host.last[1] == 2

    play(script)


def test_tlps_without_room_are_not_acknowledged_and_taken_later():
    sent = tlps(5, 16)
    sent[3:6] = tlps(6, 3, 134)

    async def script(bench, host, said):
        bench.device.open = False
        frames = [tlp_frame(k, 0, dws) for k, dws in enumerate([*sent, *tlps(7, 8, 134)])]
        await said(b"".join(frames))
        count = host.last[1]
        assert 0 < count < 24
        for _ in range(3):
            await said(b"".join(frames[count:]))
        bench.device.open = True
        await said(b"".join(frames[host.last[1] :]), clocks=3000)
        while host.last[1] < 16:
            await said(b"".join(frames[host.last[1] : 16]), clocks=3000)
        assert bench.device.taken[:16] == sent

    play(script)


@pytest.mark.parametrize("seed", [1, 2])
def test_host_that_says_anything_breaks_nothing(seed):
    """Numbers, acknowledgements and rejects at random: what is heard and taken is what was sent."""
    rng, sent = random.Random(seed), tlps(seed + 20, 60)
    said_tlps = []

    async def script(bench, host, said):
        bench.device.to_send.extend(sent)
        for _ in range(150):
            acknowledgement = rng.choice((len({n for n, _ in host.heard}), rng.randrange(256)))
            if rng.random() < 0.5:
                dws = random_tlp(rng, rng.randint(3, 12))
                said_tlps.append(dws)
                number = rng.choice((len(bench.device.taken), rng.randrange(256)))
                await said(tlp_frame(number, acknowledgement, dws), clocks=rng.randint(1, 200))
            else:
                content = status_frame(0, acknowledgement, reject=rng.random() < 0.3)
                await said(content, clocks=rng.randint(1, 400))

    bench = play(script, seed=seed, pause=0.2)
    assert all(dws == sent[number] for number, dws in bench.host.heard)
    remaining = iter(said_tlps)
    assert all(any(dws == said for said in remaining) for dws in bench.device.taken)
    assert len(bench.device.taken) > 10 and len(bench.host.heard) > 20
