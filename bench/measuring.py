"""What a process costs, what it asks of its neighbours, and the row that both make."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from bench.counters import Calls, RoundTrips
from bench.load import Engine
from bench.statistics import quantile

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CPU_CLOCK_OF_PROCESS = 2


@dataclass(frozen=True)
class Process:
    """A process under measurement."""

    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of all threads so far, to the nanosecond (clock_getcpuclockid(3))."""
        return time.clock_gettime((~self.pid << 3) | _CPU_CLOCK_OF_PROCESS)

    def rss_bytes(self) -> int:
        """Resident memory."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE

    def threads(self) -> int:
        """Number of threads."""
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def descriptors(self) -> int:
        """Number of open descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


@dataclass
class Stolen:
    """Of the processors' time between two moments, what other tenants of the machine took (proc(5), steal). share: 0 to
    1, after the block.
    """

    share: float = 0.0

    def __enter__(self) -> Self:
        self._began = self._times()
        return self

    def __exit__(self, *_: object) -> None:
        stolen, total = (after - before for before, after in zip(self._began, self._times(), strict=True))
        self.share = stolen / total if total else 0.0

    @staticmethod
    def _times() -> tuple[int, int]:
        with open("/proc/stat", encoding="ascii") as file:
            ticks = [int(text) for text in file.readline().split()[1:9]]
        return ticks[7], sum(ticks)


@dataclass
class Row:
    """One line of the table. Times in milliseconds; ``cpu_ms`` of the process a request; counts a request.

    ``facts``: other figures of this row, by name. ``limit_ms``: the processor time that cannot be avoided.
    ``notes``: texts of failures. ``warm``: requests before the measurement.
    """

    name: str
    clients: int = 0
    requests: int = 0
    warm: int = 0
    failed: int = 0
    seconds: float = 0.0
    cpu_ms: float = 0.0
    times_ms: Sequence[float] = field(default_factory=list, repr=False)
    kubernetes: Mapping[str, float] = field(default_factory=dict)
    mongodb: float = 0.0
    memcached: float = 0.0
    generator_ms: float = 0.0
    rss_mib: float = 0.0
    threads: int = 0
    descriptors: int = 0
    of_bare: float | None = None
    limit_ms: float | None = None
    facts: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Throughput."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def kubernetes_calls(self) -> float:
        """All calls to the cluster a request."""
        return sum(self.kubernetes.values())

    def quantile(self, share: float) -> float:
        """A quantile of the times."""
        return quantile(self.times_ms, share)

    def figure(self, name: str) -> float | None:
        """A figure by its name, None when this row has none of it."""
        known: dict[str, float | None] = {
            "per_second": self.per_second,
            "cpu_ms": self.cpu_ms,
            "p50_ms": self.quantile(0.5),
            "p95_ms": self.quantile(0.95),
            "p99_ms": self.quantile(0.99),
            "failed": float(self.failed),
            "kubernetes_calls": self.kubernetes_calls,
            "mongodb": self.mongodb,
            "memcached": self.memcached,
            "of_bare": self.of_bare,
        }
        return known[name] if name in known else self.facts.get(name)

    def as_dict(self) -> dict[str, object]:
        """The row as JSON."""
        return {
            "name": self.name,
            "clients": self.clients,
            "requests": self.requests,
            "failed": self.failed,
            "per_second": round(self.per_second, 1),
            "of_bare": None if self.of_bare is None else round(self.of_bare, 3),
            "p50_ms": round(self.quantile(0.5), 2),
            "p95_ms": round(self.quantile(0.95), 2),
            "p99_ms": round(self.quantile(0.99), 2),
            "cpu_ms": round(self.cpu_ms, 3),
            "limit_ms": None if self.limit_ms is None else round(self.limit_ms, 3),
            "generator_ms": round(self.generator_ms, 3),
            "kubernetes": dict(self.kubernetes),
            "mongodb": round(self.mongodb, 2),
            "memcached": round(self.memcached, 2),
            "rss_mib": round(self.rss_mib, 1),
            "threads": self.threads,
            "descriptors": self.descriptors,
            "notes": self.notes,
            **{name: round(value, 4) for name, value in self.facts.items()},
        }


class Watcher:
    """Processor time and round trips between two moments, of one or several processes under the same load."""

    def __init__(self, processes: Sequence[Process], trips: RoundTrips | None = None) -> None:
        self._processes = processes
        self._trips = trips
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self.generator_seconds = 0.0
        self.calls = Calls()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Measure the block."""
        if self._trips:
            self._trips.begin()
        generator, cpu, began = time.process_time(), self._cpu(), time.perf_counter()
        yield
        self.seconds = time.perf_counter() - began
        self.cpu_seconds, self.generator_seconds = self._cpu() - cpu, time.process_time() - generator
        self.calls = self._trips.end() if self._trips else Calls()

    def _cpu(self) -> float:
        return sum(process.cpu_seconds() for process in self._processes)

    def row(self, name: str, times: Sequence[float], clients: int, failed: int = 0) -> Row:
        """The row of ``times``, the requests of the block."""
        done = len(times)
        each = max(done, 1)
        return Row(
            name=name,
            clients=clients,
            requests=done,
            failed=failed,
            seconds=self.seconds,
            cpu_ms=self.cpu_seconds * 1000 / each,
            times_ms=times,
            kubernetes={call: round(count / each, 2) for call, count in sorted(self.calls.kubernetes.items())},
            mongodb=self.calls.mongodb / each,
            memcached=self.calls.memcached / each,
            generator_ms=self.generator_seconds * 1000 / each,
            rss_mib=sum(process.rss_bytes() for process in self._processes) / 2**20,
            threads=sum(process.threads() for process in self._processes),
            descriptors=sum(process.descriptors() for process in self._processes),
        )

    def row_of(self, name: str, engine: Engine, clients: int, *asked: str) -> Row:
        """The row of the requests that ``engine`` kept under the names ``asked`` (default: ``name``)."""
        tallies = [engine.tally(one) for one in asked or (name,)]
        times = [time for tally in tallies for time in tally.milliseconds]
        return self.row(name, times, clients, sum(tally.failed for tally in tallies))
