"""Laws of who goes into one batch call."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from worker.core.batch import BatchKey, Group, Likeness, Member, fewest, fill, rounded_validity_s, worthy
from worker.core.message.lane import SmsType

LIKENESSES = [Likeness("Shop", country, 1) for country in ("65", "852", "1")]
MEMBERS = st.lists(
    st.builds(Member, st.sampled_from("abcdefgh"), st.integers(1, 60), st.sampled_from(LIKENESSES)), max_size=40
)
GROUPS = st.dictionaries(
    st.builds(BatchKey, st.just(SmsType.MKT), st.sampled_from(["a", "b", "c", "d"]), st.none(), st.just(1000)),
    st.builds(Group, st.integers(1, 3000), st.floats(0, 600), st.floats(-10, 4000)),
)


@given(
    MEMBERS, st.integers(1, 20), st.integers(1, 500), st.dictionaries(st.sampled_from(LIKENESSES), st.integers(0, 9))
)
def test_a_call_keeps_every_bound_and_turns_away_nobody_whom_it_could_take(
    members: list[Member], most: int, most_bytes: int, allowances: dict[Likeness, int]
) -> None:
    indices = list(fill(members, most, most_bytes, lambda likeness: allowances.get(likeness, 1000)))
    chosen = [members[index] for index in indices]

    assert indices == sorted(set(indices))
    assert len(chosen) <= most
    assert len({member.number for member in chosen}) == len(chosen)
    assert sum(member.size for member in chosen) <= most_bytes
    of_likeness = Counter(member.likeness for member in chosen)
    assert all(count <= allowances.get(likeness, 1000) for likeness, count in of_likeness.items())
    if len(chosen) < most:
        left = most_bytes - sum(member.size for member in chosen)
        for member in members:
            assert (
                member in chosen
                or member.number in {one.number for one in chosen}
                or member.size > left
                or of_likeness[member.likeness] >= allowances.get(member.likeness, 1000)
            )


@given(GROUPS, st.integers(0, 4000), st.integers(1, 1000))
def test_every_key_with_enough_is_worth_a_call_and_the_best_is_first(
    groups: dict[BatchKey, Group], rate: int, most: int
) -> None:
    keys = worthy(groups, rate, most)
    scores = [min(groups[key].waiting, most) * groups[key].age_s ** 2 for key in keys]

    assert scores == sorted(scores, reverse=True)
    assert {key for key, group in groups.items() if group.waiting >= fewest(rate)} <= set(keys)
    assert all(groups[key].waiting > 1 for key in keys)


@given(st.floats(0, 10_000_000))
def test_a_validity_is_never_longer_than_what_is_left_and_never_less_than_half(left_s: float) -> None:
    rounded = rounded_validity_s(left_s)

    assert rounded <= left_s
    assert rounded == 0 if left_s < 1 else rounded > left_s * 0.399
