"""What every fault test stands on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.stack import Stack
from tests.faults.scene import Stage


@pytest.fixture
def stage(stack: Stack, amqp_url: str, redis_url: str, tmp_path: Path) -> Stage:
    """Builds workers under load, on a virtual host and a database of the test's own."""
    return Stage(stack, amqp_url, redis_url, tmp_path / "workers.log")


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print, past the capture: a table is what a run of the full size is for."""

    def show(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end="")  # noqa: T201 - see above

    return show
