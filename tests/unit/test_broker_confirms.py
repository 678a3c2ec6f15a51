"""Which publish a confirm, a refusal or a return is about, and what happens to those that get none."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.broker.confirms import Confirms, Verdict, Waiting
from worker.broker.wire.cutter import Confirmed, Returned

TAKEN, REFUSED, RETURNED, LATE = Verdict.TAKEN, Verdict.REFUSED, Verdict.RETURNED, Verdict.LATE


def so_far(waiting: list[Waiting]) -> list[Verdict | None]:
    return [one.result() if one.done() else None for one in waiting]


async def test_each_confirm_is_of_its_own_tag_and_a_multiple_one_of_all_before_it() -> None:
    confirms = Confirms(60)
    waiting = [confirms.expect() for _ in range(6)]
    confirms.hear(Confirmed(1, 2, multiple=False, taken=False))
    assert so_far(waiting) == [None, REFUSED, None, None, None, None]
    confirms.hear(Confirmed(1, 4, multiple=True, taken=True))
    assert so_far(waiting) == [TAKEN, REFUSED, TAKEN, TAKEN, None, None]
    confirms.hear(Confirmed(1, 5, multiple=True, taken=False))
    assert so_far(waiting) == [TAKEN, REFUSED, TAKEN, TAKEN, REFUSED, None]


@pytest.mark.parametrize("tag", [-(2**63), -1, 0, 3, 2**63 - 1])
@pytest.mark.parametrize("multiple", [True, False])
async def test_a_confirm_of_what_was_not_published_is_nobodys(tag: int, multiple: bool) -> None:
    confirms = Confirms(60)
    waiting = [confirms.expect() for _ in range(2)]
    confirms.hear(Confirmed(1, tag, multiple, taken=True))
    assert so_far(waiting) == [None, None]


async def test_a_returned_message_is_known_by_its_id_and_its_confirm_changes_nothing() -> None:
    confirms, other = Confirms(60), Confirms(60)
    ids, waiting = [], []
    for _ in range(3):
        ids.append(confirms.next_id)
        waiting.append(confirms.expect())
    assert len({*ids, other.next_id}) == 4
    for stranger in (None, "", other.next_id, ids[0][:16], ids[0][:16] + "z" * 16, ids[0][:16] + "f" * 16):
        confirms.hear(Returned(1, stranger))
    assert so_far(waiting) == [None] * 3
    confirms.hear(Returned(1, ids[1]))
    confirms.hear(Confirmed(1, 3, multiple=True, taken=True))
    assert so_far(waiting) == [TAKEN, RETURNED, TAKEN]


async def test_one_that_gets_no_confirm_in_its_time_is_late_and_a_confirm_after_it_is_nobodys() -> None:
    confirms = Confirms(0.02)
    first = confirms.expect()
    second = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, lambda: second.set_result(confirms.expect()))
    assert await first is LATE
    later = await second
    assert not later.done()
    confirms.hear(Confirmed(1, 1, multiple=False, taken=True))
    assert await later is LATE
    assert confirms.expect() is not None


async def test_when_the_channel_is_lost_each_that_waits_gets_an_error_of_its_own() -> None:
    confirms = Confirms(60)
    waiting = [confirms.expect() for _ in range(3)]
    waiting[1].cancel()
    confirms.hear(Confirmed(1, 1, multiple=False, taken=True))
    confirms.fail(lambda: ConnectionError("lost"))
    assert (waiting[0].result(), waiting[1].cancelled()) == (TAKEN, True)
    with pytest.raises(ConnectionError):
        await waiting[2]


async def test_a_publish_that_was_cancelled_keeps_its_number() -> None:
    confirms = Confirms(60)
    one, two = confirms.expect(), confirms.expect()
    one.cancel()
    confirms.hear(Confirmed(1, 2, multiple=True, taken=True))
    assert await two is TAKEN


@given(st.lists(st.tuples(st.integers(-2, 12), st.booleans(), st.booleans()), max_size=20))
def test_the_first_word_about_a_publish_counts(heard: list[tuple[int, bool, bool]]) -> None:
    async def run() -> None:
        confirms = Confirms(60)
        waiting = [confirms.expect() for _ in range(10)]
        expected: list[Verdict | None] = [None] * 10
        for tag, multiple, taken in heard:
            confirms.hear(Confirmed(1, tag, multiple, taken))
            for one in range(1, tag + 1) if multiple and tag <= 10 else [tag]:
                if 1 <= one <= 10 and expected[one - 1] is None:
                    expected[one - 1] = TAKEN if taken else REFUSED
        assert so_far(waiting) == expected
        confirms.fail(ConnectionError)
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(run())
