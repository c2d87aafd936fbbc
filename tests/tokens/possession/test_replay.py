"""Does the memory of one process know every proof again, also when it is full?"""

import pytest

from hello.auth import MemoryReplayStore, ReplayError
from support.logs import faults

SIZE = 150 * 100  # of a hundred proofs


async def fill(store: MemoryReplayStore, name: str, number: int, until: float) -> None:
    for count in range(number):
        assert await store.add(f"{name} {count}".encode(), until=until, now=0)


async def test_it_is_bounded_and_forgets_no_proof_of_its_only_minute() -> None:
    store = MemoryReplayStore(size=SIZE)
    await fill(store, "a", 100, until=330)
    for until in (330, 359):
        with pytest.raises(ReplayError, match="full"):
            await store.add(b"one more", until=until, now=0)
    for now in (0, 330, 359):
        assert not await store.add(b"a 7", until=330, now=now)
    assert await store.add(b"one more", until=700, now=400)
    assert not store._buckets.get(5)
    assert store._count == 1
    await store.close()


async def test_when_it_is_full_fresh_proofs_pass_and_those_of_the_oldest_minute_do_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryReplayStore(size=SIZE)
    await fill(store, "a", 40, until=130)
    await fill(store, "b", 60, until=190)
    assert not faults(caplog)
    assert await store.add(b"fresh", until=250, now=0)
    assert len(faults(caplog)) == 1
    # Nobody knows any more which proofs of the forgotten minute were seen.
    for proof in (b"a 7", b"of an honest client"):
        for until in (120, 130, 179):
            assert not await store.add(proof, until=until, now=0)
    for known in (b"b 7", b"fresh"):
        assert not await store.add(known, until=190 if known == b"b 7" else 250, now=0)
    await fill(store, "c", 39, until=250)
    assert len(faults(caplog)) == 1
    assert await store.add(b"one more", until=250, now=0)  # the next minute is forgotten
    assert len(faults(caplog)) == 2
    assert not await store.add(b"b 7", until=190, now=0)
    assert store._count == 41
    # They are too old by themselves after a while, and then it is as if nothing had been.
    assert await store.add(b"later", until=700, now=400)
    assert store._count == 1


@pytest.mark.parametrize("held", [[190], [190, 250]])
async def test_a_new_proof_of_the_oldest_minute_does_not_push_others_out(held: list[int]) -> None:
    store = MemoryReplayStore(size=SIZE)
    for until in held:
        await fill(store, f"at {until}", 100 // len(held), until=until)
    assert not await store.add(b"older", until=130, now=0)
    assert not await store.add(b"older", until=130, now=0)
    for until in held:
        assert not await store.add(f"at {until} 7".encode(), until=until, now=0)
    assert store._count == 100


async def test_a_flood_of_one_client_lets_the_proofs_of_others_pass() -> None:
    """Ten minutes of it: each second four proofs, one of them of somebody else."""
    store = MemoryReplayStore(size=10 * SIZE)  # of 250 seconds
    for now in range(600):
        for count in range(3):
            assert await store.add(f"flood {now} {count}".encode(), until=now + 331, now=now)
        assert await store.add(f"honest {now}".encode(), until=now + 301, now=now)
        for age in range(0, 300, 7):
            copy = f"honest {max(0, now - age)}".encode()
            assert not await store.add(copy, until=max(0, now - age) + 301, now=now)
        assert store._count <= 1000


async def test_a_store_without_room_for_one_proof_refuses_them_all() -> None:
    store = MemoryReplayStore(size=149)
    with pytest.raises(ReplayError, match="full"):
        await store.add(b"a", until=330, now=0)


async def test_a_clock_that_is_set_back_makes_no_proof_new() -> None:
    store = MemoryReplayStore()
    assert await store.add(b"a", until=359, now=0)
    assert await store.add(b"b", until=700, now=361)  # so the first one is forgotten
    with pytest.raises(ReplayError, match="clock"):
        await store.add(b"a", until=359, now=355)
    assert await store.add(b"c", until=656, now=355)
