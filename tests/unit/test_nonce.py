"""A nonce is used once: the gateway refuses the second, and so a call that was never made would count as unknown."""

import os

from tests.fakes import RecordingEvents
from worker.provider.client import Client
from worker.settings.sections import ProviderSettings


def nonces(number: int) -> list[str]:
    client = Client(ProviderSettings(), RecordingEvents())
    return [client._nonce() for _ in range(number)]


def test_a_nonce_is_128_bits_in_hexadecimal() -> None:
    assert all(len(nonce) == 32 and int(nonce, 16) >= 0 for nonce in nonces(100))


def test_neither_one_client_nor_two_ever_repeat_one() -> None:
    assert len({*nonces(10_000), *nonces(10_000)}) == 20_000


def test_processes_of_one_parent_have_nonces_of_their_own() -> None:
    """A worker may be forked from a process that has imported all of it."""
    found = set()
    for _ in range(2):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writing, nonces(1)[0].encode())
            finally:
                os._exit(0)
        os.close(writing)
        os.waitpid(child, 0)
        found.add(os.read(reading, 100))
        os.close(reading)

    assert len(found - {b""}) == 2
