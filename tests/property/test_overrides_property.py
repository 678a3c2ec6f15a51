"""Overrides hold for whatever is set, ends and is stored."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import RecordingEvents
from worker.core.limits.overrides import Override, Overrides, differences
from worker.core.message.lane import Lane
from worker.errors import SettingsError
from worker.limiter.in_force import InForce
from worker.limiter.overrides import read, written
from worker.settings.changeable import CHANGEABLE, changeable_values, overridden
from worker.settings.sections import Settings

KEYS = ["a", "b", "c"]
INSTANTS = st.integers(0, 20)
OVERRIDES = st.builds(
    Override,
    st.sampled_from(KEYS),
    st.integers(),
    st.text(),
    INSTANTS,
    st.none() | INSTANTS,
    st.booleans(),
)
#: What somebody does: set some, or reset some keys.
DEEDS = st.lists(st.tuples(INSTANTS, st.lists(OVERRIDES, max_size=3) | st.sets(st.sampled_from(KEYS))), max_size=8)
CONFIGURED = st.fixed_dictionaries(
    {},
    optional={
        "quota.send_message_to_globe": st.integers(-5, 4100),
        "quota.guard": st.sampled_from(["0s", "1.5ms", "20ms", "1s", "x", 7]),
        **{f"lanes.{lane.value}.floor": st.floats(-0.1, 1.1) for lane in Lane},
        "limits.recipient": st.lists(
            st.fixed_dictionaries(
                {
                    "limit": st.integers(0, 5),
                    "period": st.sampled_from(["day", "month", "90s", "1.25h", "1ms", "100d"]),
                },
                optional={"lanes": st.lists(st.sampled_from([lane.value for lane in Lane]), max_size=2)},
            ),
            max_size=3,
        ),
        "limits.caps": st.lists(
            st.fixed_dictionaries(
                {"limit": st.integers(0), "period": st.sampled_from(["day", "month", "1h"])},
                optional={"prefix": st.sampled_from(["", "852", "x"])},
            ),
            max_size=3,
        ),
    },
)


def done(deeds: list[tuple[int, Any]]) -> tuple[Overrides, int]:
    overrides, now = Overrides(), 0
    for step, deed in deeds:
        now += step
        overrides = overrides.set(deed, now) if isinstance(deed, list) else overrides.reset(deed, now)
    return overrides, now


@given(DEEDS)
def test_whatever_was_done_the_last_word_on_each_key_holds(deeds: list[tuple[int, Any]]) -> None:
    expected: dict[tuple[str, bool], Override] = {}
    now = 0
    for step, deed in deeds:
        now += step
        expected = {key: each for key, each in expected.items() if each.lasts(now)}
        if isinstance(deed, list):
            for each in deed:
                expected.pop((each.key, True), None)
            expected |= {(each.key, each.shadow): each for each in deed}
            in_force = {each.key for each in deed if not each.shadow}
            shadows = {each.key for each in deed if each.shadow}
            expected = {k: each for k, each in expected.items() if not (k[1] and k[0] in in_force - shadows)}
        else:
            expected = {key: each for key, each in expected.items() if key[0] not in deed}
    overrides, _ = done(deeds)
    lasting = {key: each.value for key, each in expected.items() if each.lasts(now)}

    assert overrides.version == len(deeds)
    for shadow in (False, True):
        values = overrides.at(now).values(shadow=shadow)
        assert values == {key: value for (key, of_shadow), value in lasting.items() if of_shadow == shadow}
    assert len({(each.key, each.shadow) for each in overrides.every}) == len(overrides.every)


@given(DEEDS, INSTANTS)
def test_nothing_comes_back_that_has_ended(deeds: list[tuple[int, Any]], later: int) -> None:
    overrides, now = done(deeds)
    then = overrides.at(now + later)

    assert then.every == tuple(each for each in overrides.at(now).every if each in then.every)
    assert then.at(now) == then
    assert all(each.until_us is None or each.until_us > now + later for each in then.every)
    assert all(end > now + later for end in then.ends())


@given(DEEDS)
def test_what_is_stored_is_what_is_read(deeds: list[tuple[int, Any]]) -> None:
    overrides, _ = done(deeds)

    assert read(written(overrides)).every == overrides.every


@given(
    st.dictionaries(st.sampled_from(KEYS), st.integers(0, 2)), st.dictionaries(st.sampled_from(KEYS), st.integers(0, 2))
)
def test_differences_lead_from_one_to_the_other(before: dict[str, int], after: dict[str, int]) -> None:
    found = differences(before, after)
    changed = {**before, **{key: new for key, (_, new) in found.items()}}

    assert {key: value for key, value in changed.items() if value is not None} == after
    assert all(old == before.get(key) for key, (old, _) in found.items())
    assert all(old != new for old, new in found.values())


@given(CONFIGURED)
def test_values_that_are_right_are_shown_as_they_can_be_given_again(values: dict[str, Any]) -> None:
    try:
        settings = overridden(Settings(), values, "test")
    except SettingsError:
        return
    shown = changeable_values(settings)

    assert overridden(Settings(), shown, "test") == settings
    assert changeable_values(overridden(Settings(), shown, "test")) == shown


@given(st.lists(st.tuples(st.binary(max_size=60) | st.just(b'{"version": 1}'), INSTANTS), max_size=5))
def test_no_bytes_harm_a_worker(stored: list[tuple[bytes, int]]) -> None:
    changes: list[Any] = []
    in_force = InForce(Settings(), RecordingEvents(), lambda *change: changes.append(change))
    for each, now_us in stored:
        in_force.take(each, now_us)

    assert changes == []


@given(st.lists(st.tuples(CONFIGURED, st.none() | INSTANTS, INSTANTS), max_size=4))
def test_what_is_in_force_is_always_a_configuration_and_follows_what_is_stored(
    steps: list[tuple[dict[str, Any], int | None, int]],
) -> None:
    current = [Settings()]
    in_force = InForce(Settings(), RecordingEvents(), lambda settings, _: current.append(settings))
    now = 0
    for values, until_us, step in steps:
        now += step
        every = tuple(Override(key, value, "Ada", 1, until_us) for key, value in values.items())
        in_force.take(written(Overrides(1, every)), now)
        wanted = Overrides(1, every).at(now).values()
        try:
            expected = overridden(Settings(), wanted, "test")
        except SettingsError:
            overridden(Settings(), changeable_values(current[-1]), "test")  # kept, or ended: right in any case
        else:
            assert changeable_values(current[-1]) == changeable_values(expected)
    assert set(changeable_values(current[-1])) == set(CHANGEABLE)
