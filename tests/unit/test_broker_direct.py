"""What a channel writes, when it may write, and what it hears, with a library and a socket that only remember."""

import asyncio
from typing import Any

import pamqp.frame
import pytest
from pamqp.commands import Basic

from worker.broker.direct import DirectChannel
from worker.broker.socket import Ear, Waiting
from worker.broker.wire.cutter import Closed, Confirmed, Event


class Library:
    """The library's channel and, as it needs no more, its connection."""

    def __init__(self) -> None:
        self.number = 3
        self.is_closed = False
        self.connection = self
        self.connection_tune = self
        self.frame_max = 4_096
        self.channels: dict[int, Any] = {3: self}
        self.closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Socket:
    """Ears and waiting channels."""

    def __init__(self) -> None:
        self.ears: dict[int, Ear] = {}
        self.waiting: list[Waiting] = []

    def claim(self, channel: int, ear: Ear) -> None:
        self.ears[channel] = ear

    def disown(self, channel: int, ear: Ear) -> None:
        assert self.ears.pop(channel) == ear

    def write_later(self, waiting: Waiting) -> None:
        self.waiting.append(waiting)


class Scene:
    """One channel between the two."""

    def __init__(self) -> None:
        library: Any = Library()
        socket: Any = Socket()
        self.library = library
        self.socket = socket
        self.heard: list[Event] = []
        self.channel = DirectChannel(self.library, self.socket, self.heard.append)

    def lose(self, how: str) -> None:
        match how:
            case "closed":
                self.library.is_closed = True
            case "closed by the broker, as the library has read":
                self.library.channels.clear()
            case "closed by the broker, as was cut":
                self.socket.ears[3](Closed(3))


def answers(written: bytes) -> list[tuple[str, int]]:
    found = []
    while written:
        size, number, answer = pamqp.frame.unmarshal(written)
        assert isinstance(answer, Basic.Ack | Basic.Nack)
        assert (number, answer.multiple) == (3, False)
        name = "ack" if isinstance(answer, Basic.Ack) else "requeue" if answer.requeue else "drop"
        found.append((name, answer.delivery_tag or 0))
        written = written[size:]
    return found


async def test_many_settled_together_are_written_together_and_each_for_itself() -> None:
    scene = Scene()
    for tag in (3, 1, 9):
        scene.channel.ack(tag)
    scene.channel.requeue(4)
    assert scene.socket.waiting == [scene.channel]
    assert answers(scene.channel.take()) == [("ack", 3), ("ack", 1), ("ack", 9), ("requeue", 4)]
    assert scene.channel.take() == b""
    scene.channel.ack(5)
    assert scene.socket.waiting == [scene.channel] * 2
    assert answers(scene.channel.take()) == [("ack", 5)]


@pytest.mark.parametrize(
    "how", ["closed", "closed by the broker, as the library has read", "closed by the broker, as was cut"]
)
@pytest.mark.parametrize("before", [True, False])
async def test_nothing_is_written_to_a_channel_that_is_gone(how: str, *, before: bool) -> None:
    """A frame for a channel that the broker has closed would end the connection of all lanes."""
    scene = Scene()
    assert scene.channel.is_open
    if before:
        scene.channel.ack(1)
    scene.lose(how)
    if not before:
        scene.channel.ack(1)
    assert not scene.channel.is_open
    assert scene.channel.take() == b""


async def test_what_is_ours_is_heard_until_the_channel_is_closed() -> None:
    scene = Scene()
    event = Confirmed(3, 1, multiple=False, taken=True)
    scene.socket.ears[3](event)
    scene.socket.ears[3](Closed(3))
    assert scene.heard == [event]
    scene.library.closing.set_result(None)
    await asyncio.sleep(0)
    assert scene.socket.ears == {}


async def test_a_channel_without_an_ear_leaves_all_that_comes_to_the_library() -> None:
    scene = Scene()
    scene.socket.ears.clear()
    channel = DirectChannel(scene.library, scene.socket, None)
    assert scene.socket.ears == {}
    channel.ack(1)
    assert answers(channel.take()) == [("ack", 1)]
