"""Run a command beside the servers, and let signals reach it as if it had been called directly."""

import signal
import subprocess
from collections.abc import Sequence
from typing import Final

from deploy.local.stack import Stack

_FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: ``si_code`` of a signal that the kernel sent, for example for Ctrl-C in a terminal (sigaction(2)).
_SI_KERNEL: Final = 0x80


def run(command: Sequence[str], stack: Stack) -> int:
    """Run *command* with the stack's addresses and return its exit code, as a shell counts it."""
    addresses = {"SMS_WORKER__BROKER__URL": stack.rabbitmq.url, "SMS_WORKER__REDIS__URL": stack.redis.url}
    watched = {*_FORWARDED, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        process = subprocess.Popen(
            command,
            env=stack.environment | addresses,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before),  # noqa: PLW1509 - no threads here
        )
        while process.poll() is None:
            _forward(signal.sigwaitinfo(watched), process)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    code = process.returncode
    return code if code >= 0 else 128 - code


def _forward(received: signal.struct_siginfo, process: "subprocess.Popen[bytes]") -> None:
    """Pass a signal on, unless the terminal gave it to the whole process group: twice would mean something else."""
    if received.si_signo == signal.SIGCHLD or received.si_code == _SI_KERNEL:
        return
    process.send_signal(received.si_signo)
