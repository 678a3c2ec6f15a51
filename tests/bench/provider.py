"""The sandbox as a process of its own: ``python -m tests.bench.provider LATENCY_S`` prints its URL and serves."""

import sys

import uvloop

from worker.sandbox import SandboxSettings, serve


def _ready(url: str) -> None:
    sys.stdout.write(url + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(serve(SandboxSettings(latency_s=float(sys.argv[1])), "127.0.0.1", 0, _ready))
