"""Whatever an answer says, no member's fate is guessed."""

from hypothesis import given
from hypothesis import strategies as st

from worker.core.outcome.members import BatchReply, Fate, fates, message_id_of
from worker.core.outcome.outcome import Reply

numbers = st.integers(10, 19).map(lambda ending: f"852512345{ending}")
members = st.lists(numbers, unique=True, min_size=1, max_size=8)
counts = st.none() | st.integers(0, 9)
lists = st.none() | st.lists(numbers, max_size=8).map(tuple)
ids = st.none() | st.lists(st.sampled_from("abcdefgh"), max_size=8).map(tuple)
replies = st.sampled_from([Reply(200, "OK")] * 8 + [Reply(200), Reply(200, "SYSTEM_ERROR")])
answers = st.builds(BatchReply, replies, counts, lists, ids)


@given(answers, members)
def test_every_member_has_a_fate_and_none_that_the_answer_contradicts(answer: BatchReply, sent: list[str]) -> None:
    told = fates(answer, sent)

    assert len(told) == len(sent)
    named = set(answer.failed or ())
    for number, fate in zip(sent, told, strict=True):
        assert fate is not Fate.ACCEPTED or number not in named
        assert fate is not Fate.FAILED or number in named
    if not answer.is_ok:
        assert set(told) == {Fate.DOUBTFUL}


@given(answers, members)
def test_the_certain_ones_are_as_many_as_the_answer_counts(answer: BatchReply, sent: list[str]) -> None:
    told = fates(answer, sent)

    accepted, failed = told.count(Fate.ACCEPTED), told.count(Fate.FAILED)
    counted = answer.success_count if answer.success_count is not None else len(answer.message_ids or ())
    assert accepted in {0, counted}
    assert failed in {0, len(answer.failed or ())}
    assert failed + counted <= len(sent) or not failed


@given(members, st.data())
def test_an_answer_that_tells_the_truth_is_believed(sent: list[str], data: st.DataObject) -> None:
    failed = data.draw(st.lists(st.sampled_from(sent), unique=True))
    accepted = len(sent) - len(failed)
    answer = BatchReply(Reply(200, "OK"), accepted, tuple(failed), tuple(map(str, range(accepted))))

    told = fates(answer, sent)

    assert told == tuple(Fate.FAILED if number in failed else Fate.ACCEPTED for number in sent)
    assert message_id_of(answer, told) == ("0" if accepted == 1 else None)


@given(answers, members)
def test_the_order_of_the_answer_means_nothing(answer: BatchReply, sent: list[str]) -> None:
    turned = answer._replace(
        failed=None if answer.failed is None else answer.failed[::-1],
        message_ids=None if answer.message_ids is None else answer.message_ids[::-1],
    )

    assert fates(turned, sent) == fates(answer, sent)
    assert fates(answer, sent[::-1]) == fates(answer, sent)[::-1]
