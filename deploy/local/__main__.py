"""``python -m deploy.local run -- COMMAND…``: run a command with a private RabbitMQ and Redis. See ``--help``."""

import argparse
import os
import signal
import subprocess
import sys
from types import FrameType
from typing import NoReturn

from deploy.local.command import run
from deploy.local.error import StackError
from deploy.local.install import install
from deploy.local.newer import CACHES, environment_with
from deploy.local.stack import Stack, clean


def main() -> int:
    """Do what the arguments say and return the exit code."""
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    try:
        match arguments.action:
            case "install":
                install()
            case "clean":
                clean()
            case "newer":
                environment = environment_with(arguments.suite, arguments.cache, os.environ)
                return subprocess.run(arguments.command, env=environment, check=False).returncode
            case _:
                install()
                with Stack() as stack:
                    return run(arguments.command, stack)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description="A private RabbitMQ and Redis.")
    actions = parser.add_subparsers(dest="action", required=True)
    start = actions.add_parser("run", help="run a command with both servers, and stop them when it ends")
    start.add_argument("command", nargs="+", metavar="COMMAND", help="the command and its arguments, after --")
    actions.add_parser("install", help="install the servers that are missing")
    newer = actions.add_parser(
        "newer", help="run a command that finds RabbitMQ and Redis of a newer Debian on its PATH"
    )
    newer.add_argument("--suite", default="trixie", help="Debian's suite (default: %(default)s)")
    newer.add_argument("--cache", choices=CACHES, default=CACHES[0], help="what stands in for Redis")
    newer.add_argument("command", nargs="+", metavar="COMMAND", help="the command and its arguments, after --")
    actions.add_parser("clean", help="end and remove what runs that were cut short left behind")
    return parser


def _leave(number: int, _: FrameType | None) -> NoReturn:
    """Leave through every ``finally`` and ``with`` on the way."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
