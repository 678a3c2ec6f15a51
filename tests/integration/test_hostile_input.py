"""Whatever is published: the worker goes on, every message ends where it belongs, and nothing is told of its content."""

import asyncio
from collections import Counter

import orjson
from aiormq.abc import DeliveredMessage

from tests.brokers import raw_channel
from tests.brokers import take as take_all
from tests.hostile import DONE, PREFIX, SECRET, Hostile, collection, request
from tests.raw_amqp import properties, publish
from tests.system import System, running_system
from tests.waiting import eventually
from worker.core.outcome import DEAD_CLASSES, ErrorClass
from worker.core.request import MESSAGE_TYPE
from worker.telemetry.libraries import libraries_heard

COLLECTION = collection()


def test_there_are_enough_hostile_messages_and_each_is_another() -> None:
    assert len(COLLECTION) >= 200
    assert len({hostile.what for hostile in COLLECTION}) == len(COLLECTION)
    assert len({hostile.body for hostile in COLLECTION}) == len(COLLECTION), [w for w, n in Counter(h.body for h in COLLECTION).items() if n > 1][:3]
