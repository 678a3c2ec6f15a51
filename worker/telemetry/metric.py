"""Metrics as values and as instruments: a closed set of series for each, cheap to feed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Histogram

#: What a label value that is in no closed set becomes.
OTHER: Final = "other"
#: What a label that does not apply becomes.
NONE: Final = "none"


class MetricKind(StrEnum):
    """What is measured: how often, or how much each time."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table in ``metrics.py``."""

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    sentence: str
    #: Upper bounds of a histogram, in its unit.
    buckets: tuple[float, ...] = ()


#: Turns what came into a label's value of a closed set.
Label: TypeAlias = Callable[[object], str]


def closed(values: Iterable[str]) -> Label:
    """A label whose values are *values*, ``none`` for None, and ``other`` for everything else."""
    known = frozenset(values)

    def label(value: object) -> str:
        if value is None:
            return NONE
        text = str(value)
        return text if text in known else OTHER

    return label


class Instruments:
    """The instruments of *table* in *registry*; every label is one of *labels*."""

    def __init__(self, table: Iterable[Metric], labels: Mapping[str, Label], registry: CollectorRegistry) -> None:
        """Raises KeyError when a metric has a label that *labels* does not know."""
        self._labels = {metric.name: tuple(labels[label] for label in metric.labels) for metric in table}
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in table:
            if metric.kind is MetricKind.COUNTER:
                self._counters[metric.name] = Counter(metric.name, metric.sentence, metric.labels, registry=registry)
            else:
                self._histograms[metric.name] = Histogram(
                    metric.name, metric.sentence, metric.labels, registry=registry, buckets=metric.buckets
                )
        # Finding a child by its labels costs more than counting. Only values of the closed sets are remembered.
        self._children: dict[tuple[object, ...], Counter] = {}
        self._observers: dict[tuple[object, ...], Histogram] = {}

    def count(self, name: str, *labels: object, by: float = 1) -> None:
        """Add *by* to the counter *name*."""
        child = self._children.get((name, *labels))
        if child is None:
            values = self._values(name, labels)
            child = self._counters[name].labels(*values) if labels else self._counters[name]
            if _is_closed(labels, values):
                self._children[(name, *labels)] = child
        child.inc(by)

    def observe(self, name: str, amount: float | None, *labels: object) -> None:
        """Add *amount* to the histogram *name*; nothing when it is None, zero when a clock was set back."""
        if amount is None:
            return
        child = self._observers.get((name, *labels))
        if child is None:
            values = self._values(name, labels)
            child = self._histograms[name].labels(*values) if labels else self._histograms[name]
            if _is_closed(labels, values):
                self._observers[(name, *labels)] = child
        child.observe(max(amount, 0.0))

    def _values(self, name: str, labels: tuple[object, ...]) -> list[str]:
        return [label(value) for label, value in zip(self._labels[name], labels, strict=True)]


def _is_closed(labels: tuple[object, ...], values: list[str]) -> bool:
    """Whether *labels* are written as their *values*, of which there are few."""
    return all(label is None or label == value for label, value in zip(labels, values, strict=True))
