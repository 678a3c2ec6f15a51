"""Metrics as values and as instruments: a closed set of series for each, cheap to feed."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from threading import RLock
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

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


class Instruments(Collector):
    """The series of a table; every label is one of *labels*.

    Numbers are kept here and become the library's only when somebody reads them: an event counts a dozen times, and is
    read once in some seconds.
    """

    def __init__(self, table: Iterable[Metric], labels: Mapping[str, Label], registry: CollectorRegistry) -> None:
        """Raises KeyError when a metric has a label that *labels* does not know."""
        self._table = {metric.name: metric for metric in table}
        self._labels = {metric.name: tuple(labels[label] for label in metric.labels) for metric in table}
        #: By name and labels, as they came: only values of the closed sets are remembered.
        self._series: dict[tuple[object, ...], Series] = {}
        #: By name and labels, as they are written.
        self._written: dict[tuple[str, ...], Series] = {}
        #: Held while numbers change: lines that standard output did not take are counted by the thread that writes.
        #: Reentrant, because the garbage collector may run meanwhile, and what it finds may be told, and counted.
        self.lock: Final = RLock()
        for metric in table:
            if not metric.labels:
                self._find(metric.name, ())
        registry.register(self)

    def count(self, name: str, *labels: object, by: float = 1) -> None:
        """Add *by* to the counter *name*."""
        series = self.series(name, *labels)
        with self.lock:
            series.add(by)

    def observe(self, name: str, amount: float | None, *labels: object) -> None:
        """Add *amount* to the histogram *name*; nothing when it is None, zero when a clock was set back."""
        series = self.series(name, *labels)
        with self.lock:
            series.observe(amount)

    def series(self, name: str, *labels: object) -> "Series":
        """The numbers of *name* with *labels*, for somebody who changes many at once: they ask for the lock once."""
        return self._series.get((name, *labels)) or self._find(name, labels)

    def collect(self) -> Iterator[PrometheusMetric]:
        """What the library writes."""
        with self.lock:
            written = self._written.copy()  # see `lock`: there may be more of them before this ends
            found = [(key, series.total, tuple(accumulate(series.buckets))) for key, series in written.items()]
        families: dict[str, CounterMetricFamily | HistogramMetricFamily] = {}
        for name, metric in self._table.items():
            family = CounterMetricFamily if metric.kind is MetricKind.COUNTER else HistogramMetricFamily
            families[name] = family(name, metric.sentence, labels=metric.labels)
        for (name, *values), total, counts in found:
            match families[name]:
                case CounterMetricFamily() as counter:
                    counter.add_metric(values, total)
                case histogram:
                    bounds = (*map(floatToGoString, self._table[name].buckets), "+Inf")
                    histogram.add_metric(values, list(zip(bounds, counts, strict=True)), total)
        yield from families.values()

    def _find(self, name: str, labels: tuple[object, ...]) -> "Series":
        values = [label(value) for label, value in zip(self._labels[name], labels, strict=True)]
        with self.lock:
            series = self._written.setdefault((name, *values), Series(self._table[name].buckets))
            if all(label is None or label == value for label, value in zip(labels, values, strict=True)):
                self._series[(name, *labels)] = series
        return series


class Series:
    """The numbers of one set of labels; who changes them holds the lock of their instruments."""

    __slots__ = ("bounds", "buckets", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        #: How many amounts lie in each bucket, and above the last bound.
        self.buckets = [0] * (len(bounds) + 1)
        #: Of the counts or of the amounts.
        self.total = 0.0

    def add(self, by: float = 1) -> None:
        """Count *by*."""
        self.total += by

    def observe(self, amount: float | None) -> None:
        """Add *amount* to a histogram; nothing when it is None, zero when a clock was set back."""
        if amount is None:
            return
        if amount < 0:
            amount = 0.0
        self.total += amount
        self.buckets[bisect_left(self.bounds, amount)] += 1
