"""What a process measures for Prometheus: durations and states beside the counters of ``accounting``.

A registry of its own, not the library's global one, so that several can live in one process. Every label has a
bounded set of values; what is not expected is counted as ``other``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric, UnknownMetricFamily

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OTHER: Final = "other"
#: Upper bounds in seconds.
LAUNCH_BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 21, 34, 60, 120, 300)
CALL_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
PHASES: Final = ("find", "create", "ready", "resume", "total")
OUTCOMES: Final = ("success", "refused", "failed")
VERBS: Final = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "exec", "log")
BAN_EVENTS: Final = ("refused_address", "refused_login", "spoofed_header")
_MAX_RESOURCES: Final = 64


class LaneState(Protocol):
    """How full a lane for long requests is."""

    @property
    def size(self) -> int: ...
    @property
    def queue(self) -> int: ...
    @property
    def load(self) -> tuple[int, int]: ...


class Metrics:
    """Thread-safe. Nothing here raises for a strange value. clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._registry = CollectorRegistry(auto_describe=False)
        self._providers: frozenset[str] = frozenset()
        self._resources: set[str] = set()
        self._launch = Histogram(
            "pyos_launch_phase_seconds",
            "Time of the phases of opening a desktop.",
            ("phase",),
            buckets=LAUNCH_BUCKETS,
            registry=self._registry,
        )
        self._logins = Counter(
            "pyos_login_outcomes", "Logins by provider and outcome.", ("provider", "outcome"), registry=self._registry
        )
        self._cluster = Histogram(
            "pyos_kubernetes_request_seconds",
            "Calls of the Kubernetes API by verb, resource and status (0: no answer).",
            ("verb", "resource", "code"),
            buckets=CALL_BUCKETS,
            registry=self._registry,
        )
        self._requests = Histogram(
            "pyos_http_request_seconds",
            "Requests served by route, method and status.",
            ("route", "method", "code"),
            buckets=CALL_BUCKETS,
            registry=self._registry,
        )
        self._bans = Counter(
            "pyos_ban_refusals", "Requests refused because of a ban or a spoofed header.", ("reason",),
            registry=self._registry,
        )  # fmt: skip
        for phase in PHASES:
            self._launch.labels(phase)
        for reason in BAN_EVENTS:
            self._bans.labels(reason)

    def know_providers(self, names: Collection[str]) -> None:
        """The configured providers: a name a client made up is counted as ``other``."""
        self._providers = frozenset(names)

    def login(self, provider: object, outcome: str) -> None:
        """Count a login. outcome: success, refused (wrong credentials, bans), failed (anything else)."""
        known = provider if isinstance(provider, str) and provider in self._providers else OTHER
        self._logins.labels(known, outcome if outcome in OUTCOMES else OTHER).inc()

    def launch_phase(self, phase: str, seconds: float) -> None:
        """Record how long a phase of a launch took."""
        if phase in PHASES:
            self._launch.labels(phase).observe(max(0.0, seconds))

    @contextmanager
    def timing(self, phase: str) -> Iterator[None]:
        """Measure a phase of a launch, also one that fails."""
        started = self._clock()
        try:
            yield
        finally:
            self.launch_phase(phase, self._clock() - started)

    def kubernetes_call(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Record one call; the observer of the Kubernetes client."""
        if resource not in self._resources:
            if len(self._resources) >= _MAX_RESOURCES:
                resource = OTHER
            self._resources.add(resource)
        self._cluster.labels(verb if verb in VERBS else OTHER, resource, str(code)).observe(max(0.0, seconds))

    def request(self, route: str, method: str, code: int, seconds: float) -> None:
        """Record one request. route: the declared path, never the requested one."""
        self._requests.labels(route, method, str(code)).observe(max(0.0, seconds))

    def refused(self, reason: str) -> None:
        """Count a request refused for one of ``BAN_EVENTS``."""
        if reason in BAN_EVENTS:
            self._bans.labels(reason).inc()

    def text(
        self,
        replica: str,
        counters: Mapping[str, Mapping[str, int]],
        lanes: Mapping[str, LaneState],
        watch_age: float | None,
    ) -> bytes:
        """Everything in the Prometheus text format, each sample with the label ``replica``.

        counters: ``Accounting.snapshot()``. watch_age: seconds since the cluster's watch last said anything.
        """
        families = [*_counters(counters), _lanes(lanes), _watch(watch_age), *self._registry.collect()]
        return generate_latest(_Replica(replica, families))


class _Replica(CollectorRegistry):
    """Families with one more label, in the shape ``generate_latest`` reads."""

    def __init__(self, replica: str, families: list[Metric]) -> None:
        super().__init__(auto_describe=False)
        self._replica = replica
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            labelled = Metric(family.name, family.documentation, family.type, family.unit)
            for sample in family.samples:
                labels = {**sample.labels, "replica": self._replica}
                labelled.samples.append(sample._replace(labels=labels))
            yield labelled


def _counters(counters: Mapping[str, Mapping[str, int]]) -> Iterator[Metric]:
    """The documented counters under their documented names."""
    for category, names in counters.items():
        family = UnknownMetricFamily(f"pyos_{category}_total", f"Counters of category {category}.", labels=[category])
        for name, value in names.items():
            family.add_metric([name], value)
        yield family


def _lanes(lanes: Mapping[str, LaneState]) -> Metric:
    family = GaugeMetricFamily(
        "pyos_lane_places", "Places of the lanes for long requests.", labels=["lane", "state"]
    )  # fmt: skip
    for name, lane in lanes.items():
        inside, waiting = lane.load
        states = {"inside": inside, "waiting": waiting, "size": lane.size, "queue": lane.queue}
        for state, value in states.items():
            family.add_metric([name, state], value)
    return family


def _watch(age: float | None) -> Metric:
    family = GaugeMetricFamily("pyos_watch_age_seconds", "Time since the watch on pods last heard of the cluster.")
    if age is not None:
        family.add_metric([], age)
    return family
