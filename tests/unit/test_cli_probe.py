"""The health check of the container asks where the configuration says that the worker listens."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from worker.cli.probe import is_well, place
from worker.settings.sections import HttpSettings
from worker.telemetry.gauges import Snapshot
from worker.telemetry.health import Health


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        (HttpSettings(), ("127.0.0.1", 9464)),
        (HttpSettings(host="0.0.0.0", port=1234), ("127.0.0.1", 1234)),
        (HttpSettings(host="::", port=1234), ("::1", 1234)),
        (HttpSettings(host="10.1.2.3"), ("10.1.2.3", 9464)),
        (HttpSettings(host="localhost"), ("localhost", 9464)),
        (HttpSettings(enabled=False), None),
        (HttpSettings(port=0), None),
    ],
)
def test_it_asks_there(settings: HttpSettings, asked: tuple[str, int] | None) -> None:
    assert place(settings) == asked


async def test_it_tells_a_worker_that_answers_from_one_that_does_not(tmp_path: Path) -> None:
    health = Health(HttpSettings(port=0), Snapshot().conditions, lambda: (b"", "text/plain"))
    await health.start()
    port = urlsplit(health.url).port
    assert port
    there = HttpSettings(port=port)
    file = tmp_path / "mine.toml"
    file.write_text(f"[http]\nport = {port}\n")
    environment = os.environ | {"SMS_WORKER_CONFIG": str(file)}

    def leaves_with() -> int:
        argv = [sys.executable, "-m", "worker.cli.probe"]
        return subprocess.run(argv, env=environment, check=False).returncode

    assert await asyncio.to_thread(is_well, there)
    assert await asyncio.to_thread(leaves_with) == 0
    await health.aclose()
    assert not await asyncio.to_thread(is_well, there)
    assert await asyncio.to_thread(leaves_with) == 1
