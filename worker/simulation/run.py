"""Plays a plan from its beginning until every message has ended."""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from worker.core.message.lane import Lane
from worker.delivery.pace import Pace
from worker.provider.parameters import base_size
from worker.settings.policy import policy_of, prefetch_of, quotas_of
from worker.settings.sections import Settings
from worker.simulation.agenda import Agenda
from worker.simulation.answers import Answers
from worker.simulation.arrivals import Arrivals, Stream
from worker.simulation.batches import Batches
from worker.simulation.books import Books
from worker.simulation.call_size import CallSize
from worker.simulation.kind import kinds_of
from worker.simulation.plan import Plan
from worker.simulation.queues import Consumer, Delayed, Queue
from worker.simulation.quotas import Quotas
from worker.simulation.report import Report, report_of
from worker.simulation.worker import Worker

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def simulated(plan: Plan, settings: Settings) -> Report:
    """What *plan* comes to with *settings*: the same each time.

    Raises:
        SettingsError: something of them cannot be simulated; the text says what, and what to do.
    """
    begins = (plan.begins - _EPOCH) // _MICROSECOND
    streams = _streams(plan, settings, begins)
    size, agenda, dice = settings.batch.size, Agenda(), random.Random(plan.seed)  # noqa: S311 - nothing is secret
    books = Books(begins, sum(stream.messages for found in streams.values() for stream in found))
    quotas = Quotas(quotas_of(settings), batches=size > 0, cold_at=begins if plan.cold else None)
    pace = Pace(quotas_of(settings), lambda: quotas.learned(agenda.now), lambda: size)
    policy = policy_of(settings)
    answers = Answers(plan, policy.catalog, settings.provider.read_timeout, dice)
    crew = [
        Worker(
            *(agenda, quotas, answers, books, policy),
            concurrency=settings.provider.concurrency,
            pace=pace,
            batched=size > 0,
            dice=dice.random,
        )
        for _ in range(plan.workers)
    ]
    due = _queues(agenda, crew, settings, streams, begins, dice)
    for worker in crew:
        worker.start(due)
    if size:
        call_size = CallSize(settings.batch.most_bytes, base_size(settings.provider.channel_id))
        for worker in crew:
            Batches(
                *(agenda, quotas, answers, books, worker),
                singles_per_s=pace.singles_per_s,
                size=size,
                call_size=call_size,
            ).start(begins)
    agenda.run(lambda: not books.left)
    return report_of(books, streams, quotas.rates, size)


def _streams(plan: Plan, settings: Settings, begins: int) -> Mapping[Lane, Sequence[Stream]]:
    found: dict[Lane, list[Stream]] = {lane: [] for lane in Lane}
    kinds = kinds_of(plan, policy_of(settings).lifetimes)
    for section, own in zip(plan.streams, kinds, strict=True):
        start = begins + section.start // _MICROSECOND
        found[section.lane].append(Stream(own, section.messages, start, section.rate))
    return found


def _queues(
    agenda: Agenda,
    crew: Sequence[Worker],
    settings: Settings,
    streams: Mapping[Lane, Sequence[Stream]],
    begins: int,
    dice: random.Random,
) -> Mapping[Lane, tuple[Delayed, Queue]]:
    """The queues of all lanes, consumed by *crew*; returns those of what is due."""
    due = dict[Lane, tuple[Delayed, Queue]]()
    for lane in Lane:
        delayed = Delayed()
        queues = Queue(agenda, Arrivals(streams[lane], dice)), Queue(agenda, delayed)
        for queue in queues:
            for worker in crew:
                Consumer(queue, worker, prefetch_of(settings, lane))
        due[lane] = delayed, queues[1]
        agenda.at(begins, queues[0].deal)
    return due
