"""Overrides as values, what is stored of them, and the keys that can be changed."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import RecordingEvents
from worker.core.limits.overrides import Override, Overrides
from worker.core.limits.quota import Cap, Shadow
from worker.core.outcome.outcome import Period
from worker.errors import SettingsError, UsageError
from worker.limiter.in_force import InForce
from worker.limiter.overrides import LONGEST, Seen, read, written
from worker.operator.limits import Wanted, planned, rows_of, value_of
from worker.settings.changeable import CHANGEABLE, changeable_values, overridden
from worker.settings.keys import DEFAULTS
from worker.settings.sections import Settings

RATE, CAPS = "quota.send_message_to_globe", "limits.caps"
DAILY = [{"limit": 5, "period": "day", "prefix": ""}]


def override(key: str, value: Any, until_us: int | None = None, *, shadow: bool = False) -> Override:
    return Override(key, value, "Ada", 1, until_us, shadow)


def test_an_override_ends_at_its_instant_and_not_before() -> None:
    overrides = Overrides(1, (override("a", 1, until_us=100), override("b", 2)))

    assert overrides.at(99).values() == {"a": 1, "b": 2}
    assert overrides.at(100).values() == {"b": 2}
    assert overrides.ends() == [100]


def test_a_new_value_takes_the_place_of_the_old_one_and_of_its_shadow() -> None:
    before = Overrides(1, (override("a", 1), override("a", 2, shadow=True), override("b", 3, until_us=9)))
    after = before.set([override("a", 4)], 9)

    assert (after.version, after.values(), after.values(shadow=True)) == (2, {"a": 4}, {})


def test_a_new_shadow_leaves_what_is_in_force() -> None:
    after = Overrides(1, (override("a", 1), override("a", 2, shadow=True))).set([override("a", 3, shadow=True)], 9)

    assert (after.values(), after.values(shadow=True)) == ({"a": 1}, {"a": 3})


def test_a_reset_ends_both_or_the_shadow_only() -> None:
    before = Overrides(1, (override("a", 1), override("a", 2, shadow=True), override("b", 3)))

    assert before.reset(["a"], 9).every == (override("b", 3),)
    assert before.reset(["a"], 9, shadows_only=True).values() == {"a": 1, "b": 3}
    assert before.reset(["a"], 9, shadows_only=True).values(shadow=True) == {}


# -- stored


def test_what_is_stored_is_read_as_it_was() -> None:
    overrides = Overrides(3, (override(RATE, 20, until_us=5), override(CAPS, [{"limit": 10**30}], shadow=True)))

    assert read(written(overrides)) == overrides
    assert (written(Overrides(9)), read(b"")) == (b"", Overrides())


@pytest.mark.parametrize(
    "stored",
    [
        b"x", b"[]", b"null", b"{", b"\xff", b"[" * 10_000, b" " * (LONGEST + 1),
        b'{"version": 1.5}', b'{"version": "1"}', b'{"version": 1, "every": {}}',
        b'{"version": 1, "every": [{"key": 1, "value": 1, "by": "", "since_us": 1}]}',
        b'{"version": 1, "every": [{"key": "a", "value": 1, "by": "", "since_us": -1}]}',
        b'{"version": 1, "every": [{"key": "a", "value": 1, "by": "", "since_us": 1, "until_us": 1e400}]}',
        b'{"version": 1, "every": [{"key": "a", "value": 1, "by": "", "since_us": 1, "until_us": 9007199254740992}]}',
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_value_error_that_quotes_nothing(stored: bytes) -> None:
    with pytest.raises(ValueError, match=r"^[^\n{}\[]+$"):
        read(stored)


# -- the keys


def test_every_changeable_key_is_one_and_shadows_are_of_lists() -> None:
    values = changeable_values(Settings())

    assert set(CHANGEABLE) <= set(DEFAULTS)
    assert {key for key, value in values.items() if isinstance(value, list)} == {
        key for key, has_shadow in CHANGEABLE.items() if has_shadow
    }


def test_every_changeable_key_is_told() -> None:
    document = (Path(__file__).parents[2] / "deploy" / "CONFIGURATION.md").read_text("utf-8")
    section = document.partition("### Changing limits while workers run")[2].partition("\n## ")[0]

    assert set(re.findall(r"`([a-z]+\.[a-z_.]+)`(?=[^|]*\|[^|]*\|\n)", section)) == set(CHANGEABLE)


def test_values_are_checked_together_with_the_configuration() -> None:
    settings = overridden(Settings(), {"lanes.otp.floor": 0.8, "quota.guard": "20ms"}, "test")

    assert (settings.lanes.otp.floor, settings.quota.guard) == (0.8, timedelta(milliseconds=20))
    assert overridden(settings, {}, "test") is settings
    with pytest.raises(SettingsError, match=r"^the limits have a fault:\n  test: lanes: the floors of all lanes"):
        overridden(settings, {"lanes.marketing.floor": 0.2}, "test")
    with pytest.raises(
        SettingsError, match=r"have 2 faults:\n  test: quota.guard = 'x': .*\n  test: limits.caps = 7: "
    ):
        overridden(settings, {"quota.guard": "x", CAPS: 7}, "test")
    with pytest.raises(SettingsError, match=r"test: redis.url cannot be changed while workers run"):
        overridden(settings, {"redis.url": "redis://secret@host"}, "test")


def test_a_value_is_written_as_in_the_configuration() -> None:
    assert [value_of(RATE, "20"), value_of("quota.guard", "20ms"), value_of(CAPS, "[{limit = 5}]")] == [
        20,
        "20ms",
        [{"limit": 5}],
    ]
    with pytest.raises(UsageError, match=r"^limits.caps: is not TOML: "):
        value_of(CAPS, "[{limit = 5]")


# -- in force


class Worker:
    """What a worker makes of what is stored."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.events = RecordingEvents()
        self.changes: list[tuple[Settings, Shadow]] = []
        self.in_force = InForce(settings or Settings(), self.events, lambda *change: self.changes.append(change))

    def take(self, *every: Override, at: int = 0) -> None:
        self.in_force.take(written(Overrides(1, every)), at)

    @property
    def rates(self) -> list[int]:
        return [settings.quota.send_message_to_globe for settings, _ in self.changes]


def test_what_takes_force_and_what_ends_is_told_once() -> None:
    worker = Worker()
    for at in (0, 1, 98, 99, 100, 101, 200):
        worker.take(override(RATE, 20, until_us=100), at=at)

    assert worker.rates == [20, 30]
    assert worker.events.named("limits.changed") == [
        {"key": RATE, "before": "30", "after": "20", "shadow": None},
        {"key": RATE, "before": "20", "after": "30", "shadow": None},
    ]


def test_a_shadow_is_handed_over_beside_what_is_in_force_and_told_as_one() -> None:
    worker = Worker()
    worker.take(override(CAPS, DAILY, shadow=True))
    worker.in_force.noted([], ["account: 5 per day"])
    worker.in_force.noted(["otp 5 per hour"], [])  # of a shadow that has just ended

    ((settings, shadow),) = worker.changes
    assert (settings, shadow) == (Settings(), Shadow((), (Cap(5, Period.DAY),)))
    (line,) = worker.events.named("limits.changed")
    assert line == {"key": CAPS, "before": "", "after": '[{limit = 5, period = "day", prefix = ""}]', "shadow": True}
    assert worker.events.named("limits.shadowed") == [{"key": CAPS, "limit": "account: 5 per day"}]
    assert worker.in_force.shadowed == {"1 limits.caps": 1, "1 limits.caps account: 5 per day": 1}


def test_what_does_not_go_with_the_configuration_is_told_once_and_what_is_kept_still_ends() -> None:
    worker = Worker(overridden(Settings(), {"lanes.notify.floor": 0.9}, "test"))
    worker.take(override(RATE, 20, until_us=100))
    for at in (1, 50, 99, 100, 150):
        worker.take(override("lanes.otp.floor", 0.5), override(RATE, 10, until_us=120), at=at)

    assert worker.rates == [20, 30]
    assert len(worker.events.named("limits.refused")) == 1


def test_a_key_that_this_version_does_not_know_leaves_the_others_in_force() -> None:
    worker = Worker()
    worker.take(override("later.key", 1), override(RATE, 10))

    assert worker.rates == [10]
    assert worker.events.named("limits.unknown") == [{"keys": 1}]


def test_what_an_operator_sees_tells_a_fault_of_its_own_configuration() -> None:
    settings = overridden(Settings(), {"lanes.notify.floor": 0.9}, "test")
    rows, faults = rows_of(settings, Seen(written(Overrides(1, (override("lanes.otp.floor", 0.5),))), 5, {}))

    assert [row["value"] for row in rows if row["by"]] == [0.5]
    assert len(faults) == 1
    assert "workers with this configuration keep what they have" in faults[0]


def test_a_plan_that_is_too_long_is_refused() -> None:
    caps = [{"limit": 1, "period": "day", "prefix": str(prefix)} for prefix in range(1, 900)]

    with pytest.raises(UsageError, match=f"at most {LONGEST} are kept"):
        planned(Settings(), Wanted({CAPS: caps}, "Ada"))(Overrides(), 5)
