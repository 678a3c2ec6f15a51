"""A plan as it is written: what is refused, and what the sample says."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from worker.errors import SettingsError
from worker.settings.load import load
from worker.simulation.plan import Plan, ProviderSection, RefusalSection, StreamSection, plan_of
from worker.simulation.run import simulated

SAMPLE = Path(__file__).parents[2] / "config" / "plan.toml"
STREAM = '[[streams]]\ntype = "MKT"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x =", "is not TOML"),
        ("", "streams: is missing; give it"),
        ("streams = []", "the plan: streams is empty: give at least one"),
        ("settings = 1\n" + STREAM + "count = 1", "settings: is a section"),
        ("colour = 1\n" + STREAM + "count = 1", "colour: is no key of a plan; what a configuration has stands under"),
        ("workers = 0\n" + STREAM + "count = 1", "workers: "),
        (STREAM, "streams[0]: give count alone"),
        (STREAM + 'count = 1\nduration = "1s"', "streams[0]: give count alone"),
        (STREAM + "rate = 1.0", "streams[0]: rate needs either count or duration"),
        (STREAM + 'rate = 1.0\ncount = 1\nduration = "1s"', "streams[0]: rate needs either count or duration"),
        (STREAM + 'rate = 0.1\nduration = "1s"', "streams[0]: has 0 messages"),
        (STREAM + 'count = 1\nsenders = ["A sender"]', "streams[0]: from: must be up to 11 letters and digits"),
        (STREAM + "count = 1\ncharacters = 1501", "streams[0].characters: "),
        (STREAM + 'count = 1\nlifetime = "soon"', "streams[0].lifetime: must be a number and a unit"),
        (
            STREAM + "count = 19_000_000\n" + STREAM + "count = 2_000_000",
            "21000000 messages together; at most 20000000",
        ),
        ('[[streams]]\ntype = "SMS"\ncount = 1', "streams[0].type: "),
        ('[provider]\nfastest = "1s"\n' + STREAM + "count = 1", "provider: fastest must not be longer than slowest"),
        (
            '[[provider.refusals]]\ncode = "A"\nprobability = 0.6\n[[provider.refusals]]\ncode = "B"\n'
            "probability = 0.6\n" + STREAM + "count = 1",
            "provider: the probabilities of all refusals together must be at most 1",
        ),
    ],
)
def test_a_fault_is_told_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        plan_of("plan.toml", text)

    assert sentence in str(caught.value)
    assert str(caught.value).startswith("plan.toml")


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        plan_of("plan.toml", "workers = 0\nseed = 1.5\n" + STREAM + "count = 0")

    assert len(str(caught.value).splitlines()) == 4


def test_the_sample_has_every_key_and_the_defaults() -> None:
    text = SAMPLE.read_text("utf-8")
    plan, settings = plan_of("plan.toml", text)
    every: list[type[BaseModel]] = [Plan, ProviderSection, RefusalSection, StreamSection]

    for section in every:
        for name in section.model_fields:
            assert f"{name} = " in text or f"[[{name}]]" in text or f".{name}]]" in text or f"[{name}]" in text, name
    own = {"streams", "workers", "provider"}
    assert plan.model_dump(exclude=own) == Plan(streams=plan.streams).model_dump(exclude=own)
    assert plan.provider.model_dump(exclude={"refusals"}) == ProviderSection().model_dump(exclude={"refusals"})
    report = simulated(plan, load([("plan.toml", settings)], {}))
    assert sum(lane.published for lane in report.lanes.values()) == 20_075


def test_settings_of_a_plan_stand_after_files() -> None:
    both: list[tuple[str, Any]] = [("file", "[batch]\nsize = 5"), ("plan", {"batch": {"size": 7}})]

    assert load(both, {}).batch.size == 7
