"""What a worker says before it connects to anything."""

from io import BytesIO

import orjson

from worker.app import App
from worker.settings.load import load
from worker.settings.policy import policy_of
from worker.shutdown import Shutdown
from worker.telemetry.open import open_telemetry

#: Nobody listens there.
NOWHERE = {"broker.url": "amqps://127.0.0.1:1/?no_verify_ssl=1", "redis.url": "redis://127.0.0.1:1", "http.port": 0}


async def test_what_others_could_read_or_answer_is_told_at_each_start() -> None:
    settings, log = load([], {}, NOWHERE), BytesIO()
    observed = open_telemetry(
        settings.log, settings.sentry, policy_of(settings).catalog, "test", stream=log, strict=True
    )
    shutdown = Shutdown(observed.events)
    shutdown.ask()

    await App(settings, observed).serve(shutdown)
    observed.close()

    lines = [line for line in map(orjson.loads, log.getvalue().splitlines()) if line["event"] == "settings.weak"]
    assert [(line["level"], line["key"], line["option"]) for line in lines] == [
        ("warning", "broker.url", "no_verify_ssl=1")
    ]
