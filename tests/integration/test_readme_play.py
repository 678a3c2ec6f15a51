"""README's block for playing, pasted as one: it ends with a message that the sandbox accepted."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def block() -> str:
    """The commands for the shell that knows a private RabbitMQ and Redis."""
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return next(each for each in blocks if "&\n" in each)


def test_the_block_works_as_pasted(amqp_url: str, redis_url: str, unused_tcp_port: int, tmp_path: Path) -> None:
    # Only the ports are others, because somebody may use the usual ones.
    commands = block().replace("8080", str(unused_tcp_port)).replace("sandbox >", f"sandbox --port {unused_tcp_port} >")
    variables = {
        "SMS_WORKER__BROKER__URL": amqp_url,
        "SMS_WORKER__REDIS__URL": redis_url,
        "SMS_WORKER__HTTP__PORT": "0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    ran = subprocess.run(
        ["bash", "-c", f"trap 'kill $(jobs -p); wait' EXIT\n{commands}"],
        cwd=tmp_path,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert ran.returncode == 0, ran.stderr
    assert "published order-17\n" in ran.stdout
    assert '"accepted":1' in ran.stdout.replace(" ", ""), ran.stdout
    assert "limiter.new" in (tmp_path / "worker.log").read_text()
