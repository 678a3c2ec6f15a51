"""The accounting itself, so that a fault test fails for what it says."""

from tests.faults.accounts import Rest, judge

DONE = Rest("done", "a")


def test_accounts_agree_when_every_id_was_accepted_once_and_is_done() -> None:
    verdict = judge(["a", "b"], ["b", "a"], [DONE, Rest("done", "b")])

    assert verdict.agrees
    assert (verdict.published, verdict.accepted, verdict.resends, verdict.depths) == (2, 2, 0, {"done": 2})


def test_an_id_in_no_queue_is_lost_even_if_it_was_accepted() -> None:
    verdict = judge(["a", "b", "c"], ["a", "b"], [DONE])

    assert verdict.lost == ("b", "c")
    assert "2 lost: published, in no queue:\n  b: accepted at most 1; at rest: nowhere" in str(verdict)


def test_an_id_that_still_waits_is_not_lost() -> None:
    assert judge(["a", "b"], [], [Rest("send.otp", "a"), Rest("delay.03", "b")]).agrees


def test_accepted_twice_is_outside_of_the_policy_unless_an_unknown_call_is_told() -> None:
    assert judge(["a"], ["a", "a"], [DONE]).outside == ("a",)
    assert judge(["a"], ["a", "a"], [Rest("done", "a", unknowns=1)]).agrees
    assert judge(["a"], ["a", "a"], [Rest("dead.unknown", "a", unknowns=2)]).agrees
    assert judge(["a"], ["a", "a"], [Rest("done", "a", unknowns=1)]).twice == {"a": 2}


def test_each_acceptance_but_one_needs_an_unknown_call_of_its_own() -> None:
    verdict = judge(["a"], ["a", "a", "a"], [Rest("done", "a", unknowns=1)])

    assert verdict.outside == ("a",)
    assert "a: accepted 3; at rest: done (unknown calls: 1)" in str(verdict)


def test_one_of_several_messages_of_an_id_may_tell_of_the_unknown_call() -> None:
    assert judge(["a"], ["a", "a"], [DONE, Rest("dead.unknown", "a", unknowns=1)]).agrees


def test_done_without_an_acceptance_is_untrue() -> None:
    assert judge(["a"], [], [DONE]).untrue == ("a",)


def test_a_dead_letter_of_an_accepted_id_must_tell_of_an_unknown_call() -> None:
    assert judge(["a"], ["a"], [Rest("dead.expired", "a")]).denied == ("a",)
    assert judge(["a"], ["a"], [Rest("dead.unknown", "a", unknowns=1)]).agrees
    assert judge(["a"], ["a"], [Rest("dead.expired", "a"), DONE]).agrees
    assert judge(["a"], ["a"], [Rest("send.otp", "a")]).agrees


def test_what_nobody_published_is_strange_wherever_it_turns_up() -> None:
    assert judge([], ["a"], [Rest("done", "b")]).strange == ("a", "b")


def test_resends_are_the_calls_after_an_unknown_one() -> None:
    rests = [
        Rest("done", "a", 2),
        Rest("dead.unknown", "b", 2),
        Rest("dead.unknown", "c", 1),
        Rest("dead.content", "d"),
    ]

    assert judge("abcd", "aab", rests).resends == 3


def test_an_id_that_was_published_twice_counts_once() -> None:
    verdict = judge(["a", "a"], ["a"], [DONE, DONE])

    assert (verdict.published, verdict.agrees, verdict.depths) == (1, True, {"done": 2})


def test_a_long_list_of_faults_is_cut() -> None:
    assert "  and 15 more" in str(judge(map(str, range(25)), [], []))
