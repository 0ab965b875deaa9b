"""Counters of one process (services.md 7): kept in memory, lost at restart, never shared between replicas."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping

from oc.od.metrics import Metrics

#: Names that show a zero from the start.
DECLARED: Mapping[str, tuple[str, ...]] = {
    "api": ("bad_parameters", "env_container_app", "stop_container_app", "log_container_app", "list_container_app"),
    "login": ("success", "failed", "anonymous"),
    "desktop": ("new", "resumed", "current", "createfailed", "remove"),
    "applist": ("installed", "cached", "build"),
    "container": ("current", "reused", "error", "accessdenied"),
}
GAUGES = frozenset({("desktop", "current"), ("applist", "installed"), ("container", "current")})
_IMAGE_CATEGORIES = ("container", "image")
_CATEGORY = re.compile(r"[a-z][a-z0-9_]{0,31}")
_MAX_NAME = 128
_MAX_NAMES = 512

Gauge = Callable[[], int | None]


class Accounting:
    """Thread-safe counters by category and name, and gauges that are read when they are exported.

    metrics: durations and states, exported with the Prometheus format only.
    """

    def __init__(self) -> None:
        self.metrics = Metrics()
        self._lock = threading.Lock()
        self._counters: dict[str, dict[str, int]] = {
            category: dict.fromkeys(names, 0) for category, names in DECLARED.items()
        }
        self._gauges: dict[tuple[str, str], Gauge] = {}

    def increment(self, category: str, name: str, amount: int = 1) -> None:
        """Count an event. Both names appear when first counted; never raises.

        A category holds at most 512 names, so that names from outside cannot fill the memory.
        """
        if not _CATEGORY.fullmatch(category):
            return
        if category in _IMAGE_CATEGORIES:
            name = image_name(name)
        with self._lock:
            counters = self._counters.setdefault(category, {})
            if name in counters or len(counters) < _MAX_NAMES:
                counters[name[:_MAX_NAME]] = counters.get(name[:_MAX_NAME], 0) + amount

    def set_gauge(self, category: str, name: str, read: Gauge) -> None:
        """Show the value of ``read()`` at each export. ``read`` returns None when the value is not to be had."""
        with self._lock:
            self._gauges[category, name] = read

    def snapshot(self) -> dict[str, dict[str, int]]:
        """All values. A gauge that cannot be read is left out, so a cluster that is away does not fail the scrape."""
        with self._lock:
            values = {category: dict(names) for category, names in self._counters.items()}
            gauges = dict(self._gauges)
        for (category, name), read in gauges.items():
            value = read()
            if value is None:
                values.setdefault(category, {}).pop(name, None)
            else:
                values.setdefault(category, {})[name] = value
        return values

    def text(self) -> str:
        """The Prometheus text format, one line a counter (https://prometheus.io/docs/instrumenting/exposition_formats)."""
        lines: list[str] = []
        for category, names in self.snapshot().items():
            metric = f"pyos_{category}_total"
            lines.append(f"# TYPE {metric} untyped")
            lines += [f'{metric}{{{category}="{_escaped(name)}"}} {value}' for name, value in names.items()]
        return "\n".join(lines) + "\n"


def image_name(image: str) -> str:
    """The last path component of an image reference, without tag or digest."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
