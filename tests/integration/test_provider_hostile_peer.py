"""Whatever the peer does that stands where the provider should be: a call ends, in a value."""

import asyncio
import random
from datetime import timedelta

import pytest

from tests.fakes import RecordingEvents
from tests.hostile_peer import HTTP_GARBAGE, HostilePeer, Mishap, Strike, strikes
from tests.scripted_server import OK, REQUEST, NewLoop, on_both_loops, run, scripted_server, settings
from worker.core.outcome.outcome import Fault, Reply
from worker.provider.client import Client

#: Longer than any answer is waited for, on a busy machine too.
FOR_EVER_S = 20.0
PATIENCE = timedelta(milliseconds=300)
#: Answers of a connection that are struck: before the first call, and those to the first three.
STEPS = 4


async def call(client: Client) -> Reply | Fault:
    async with asyncio.timeout(FOR_EVER_S):
        answer = await client.send(REQUEST, 300)
    assert isinstance(answer, Reply | Fault)
    return answer


@on_both_loops
@pytest.mark.parametrize("seed", range(3))
def test_a_peer_that_is_no_provider_makes_faults_and_no_more(new_loop: NewLoop, seed: int) -> None:
    dice = random.Random(seed)
    plan = strikes(dice, 30, STEPS, HTTP_GARBAGE)

    async def scene() -> tuple[set[Reply | Fault], int]:
        answers: set[Reply | Fault] = set()
        async with (
            scripted_server(OK) as provider,
            HostilePeer(f"http://127.0.0.1:{provider.port}", plan) as peer,
            Client(settings(peer.url, read_timeout=PATIENCE, connect_timeout=PATIENCE), RecordingEvents()) as client,
        ):
            while not peer.is_good:
                answers |= set(await asyncio.gather(*(call(client) for _ in range(dice.randrange(1, 8)))))
            peer.be_good()
            afterwards = [await call(client) for _ in range(20)]
            assert isinstance(afterwards[-1], Reply)
            return answers, len(peer.struck)

    answers, struck = run(new_loop, scene())

    assert {Fault.TIMEOUT, Fault.CONNECTION_CUT} <= answers
    assert struck > len(plan) // 2


@on_both_loops
def test_each_kind_of_nonsense_is_a_value_and_the_next_call_is_not_hurt(new_loop: NewLoop) -> None:
    async def scene(garbage: bytes, step: int) -> None:
        async with (
            scripted_server(OK) as provider,
            HostilePeer(f"http://127.0.0.1:{provider.port}", [Strike(Mishap.GARBLES, step, garbage)]) as peer,
            Client(settings(peer.url, read_timeout=PATIENCE, connect_timeout=PATIENCE), RecordingEvents()) as client,
        ):
            for _ in range(step + 2):
                await call(client)
            peer.be_good()
            answers = [await call(client) for _ in range(3)]
            assert any(isinstance(answer, Reply) and answer.code == "OK" for answer in answers), (garbage, answers)

    async def scenes() -> None:
        await asyncio.gather(*(scene(garbage, step) for garbage in HTTP_GARBAGE for step in range(3)))

    run(new_loop, scenes())
