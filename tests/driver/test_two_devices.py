"""Guests that are moved from one device to another, in one machine, on the functional model."""

import pytest

from driver import QueueSettings
from driver.irq import boot
from driver.vdcm import ComposeError, Guest
from sim.model.transport import ModelTransport, run

from .cases import CONFIG
from .cases.guest_moves import move_amid_submissions, move_while_it_works, move_with_an_event_held
from .cases.guests import host, inside, leave, shut_down
from .cases.registry import DEDICATED, SHARED, balanced, copy

SCENARIOS = (move_while_it_works, move_with_an_event_held, move_amid_submissions)
SEEDS = {"in_order": None, "shuffled": 1, "shuffled_otherwise": 2}


async def machine(*settings, seed=None):
    """A machine with two devices, where each composes out of a queue."""
    options = {"seed": seed or 0, "shuffle": seed is not None}
    first = ModelTransport(CONFIG, **options)
    second = ModelTransport(CONFIG, beside=first, **options)
    places = []
    for transport, each in zip((first, second), settings, strict=True):
        composer, (queue,) = await host(transport, each)
        places.append((composer, queue))
    return first.platform, places


async def play(scenario, settings, seed):
    """A scenario, between two devices whose vectors have other indices; all is as it was."""
    platform, places = await machine(settings, settings, seed=seed)
    (here, _), (there, _) = places
    spare = [await there.device.alloc_vector(lambda: None) for _ in range(40)]
    free = [composer.device.free_vectors() for composer in (here, there)]
    await scenario(places)
    assert [composer.device.free_vectors() for composer in (here, there)] == free
    for vector in spare:
        await there.device.free_vector(vector)
    for composer, left in zip((here, there), (free[0], free[1] + 40), strict=True):
        await leave(composer, left)
    return platform


def check(platform):
    """Nothing is damaged, misdirected or left over."""
    assert not platform.check() and not platform.iommu.faults
    assert not platform.interrupts.live and not platform.interrupts.misdirected
    assert not any(boot(platform).counts().values())


@pytest.mark.parametrize("seed", SEEDS.values(), ids=SEEDS)
@pytest.mark.parametrize("settings", [SHARED, DEDICATED], ids=["shared", "dedicated"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_guest_moves_to_another_device_and_loses_no_bell(scenario, settings, seed):
    print("seed", seed)
    check(run(play(scenario, settings, seed)))


def test_device_that_a_guest_has_left_can_be_taken_away():
    async def story():
        platform, ((here, queue), (there, other)) = await machine(SHARED, SHARED)
        guest = await Guest.boot(here, queue)
        device, virtual = await inside(guest)
        adi = await device.create_adi(virtual)
        await copy(adi, 300, 1)
        free = here.device.free_vectors() + 1, there.device.free_vectors()
        await guest.migrate(there, other)
        await leave(here, free[0])
        await copy(adi, 300, 2)
        await balanced(adi)
        assert adi.vectors[0].bells == 2 and not device.errors
        await shut_down(guest, device)
        await leave(there, free[1])
        return platform

    check(run(story()))


def test_guest_goes_on_where_it_was_if_the_other_device_does_not_suit():
    async def story():
        platform, ((here, queue), (there, other)) = await machine(SHARED, QueueSettings(size=16))
        guest = await Guest.boot(here, queue)
        device, virtual = await inside(guest)
        adi = await device.create_adi(virtual)
        free = here.device.free_vectors() + 1, there.device.free_vectors()
        with pytest.raises(ComposeError, match="differs from the one that the guest knows"):
            await guest.migrate(there, other)
        await copy(adi, 300, 1)
        await balanced(adi)
        await shut_down(guest, device)
        await leave(here, free[0])
        await leave(there, free[1])
        return platform

    check(run(story()))


def test_two_guests_change_places_while_both_work():
    async def story():
        platform, places = await machine(SHARED, SHARED, seed=3)
        free = [composer.device.free_vectors() for composer, _ in places]
        tasks = [
            composer.transport.start(move_while_it_works(order))
            for (composer, _), order in zip(places, (places, places[::-1]), strict=True)
        ]
        for task in tasks:
            await task.join()
        for (composer, _), left in zip(places, free, strict=True):
            await leave(composer, left)
        return platform

    check(run(story()))
