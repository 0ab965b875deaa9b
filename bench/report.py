"""The table and the JSON of a run."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from bench.limits import ROUNDS
from bench.measuring import Row
from bench.targets import TARGETS, Target

_HEAD = (
    "request", "clients", "requests", "failed", "requests/s", "of bare", "p50 ms", "p95 ms", "p99 ms", "CPU ms",
    "limit ms", "CPU of limit", "Kubernetes", "MongoDB", "memcached", "RSS MiB", "threads", "descriptors",
    "client CPU ms",
)  # fmt: skip
_MACHINE_FACTS = ("signatures",)


def machine() -> dict[str, object]:
    """Where and when this was measured."""
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": model,
        "cores": os.cpu_count(),
        "memory GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def document(rows: Sequence[Row], facts: Mapping[str, object]) -> dict[str, object]:
    """The run as JSON."""
    return {
        "facts": dict(facts),
        "rows": [row.as_dict() for row in rows],
        "targets": [
            {
                "row": target.row,
                "figure": target.figure,
                "wanted": target.text,
                "clients": target.clients,
                "measured": target.measured(rows),
                "met": target.met(rows),
            }
            for target in TARGETS
        ],
    }


def render(rows: Sequence[Row], facts: Mapping[str, object], *, whole: bool = True) -> str:
    """The run as Markdown. ``whole``: every target is shown, of a part of the scenarios only what was measured."""
    return "\n".join(
        [
            "# Measurements",
            "",
            "Written by `make bench ARGS=--write`. Machines differ: compare within one run, with the limits measured",
            "in it. *of bare*: throughput as a share of a bare CherryPy handler's under the same load; for a request",
            f"that can be repeated the median of {ROUNDS} rounds, each beside the bare handler in the same seconds.",
            "The rest of a row is its best round. *limit*: the processor time of a bare handler, of the signatures in",
            "the answer and of the raw round trips made. Counts of Kubernetes, MongoDB and memcached are calls a",
            "request; *exec* are a launch's readiness checks.",
            "*client CPU*: of the load generator, on the same cores.",
            "",
            *(f"- {name}: {value}" for name, value in facts.items()),
            "",
            "## Targets",
            "",
            *targets_table(rows, TARGETS if whole else [target for target in TARGETS if target.met(rows) is not None]),
            "",
            *failures(rows),
            "## Requests",
            "",
            *requests_table([row for row in rows if row.times_ms]),
            "",
            "## Other figures",
            "",
            *facts_table(rows),
            "",
        ]
    )


def failures(rows: Sequence[Row]) -> list[str]:
    """What failed, if anything did."""
    told = [f"- {row.name}: {row.failed} of {row.requests + row.failed} failed" for row in rows if row.failed]
    told += [f"- {row.name}: {note.strip()}" for row in rows for note in row.notes]
    return ["## Failures", "", *told, ""] if told else []


def targets_table(rows: Sequence[Row], targets: Sequence[Target] = TARGETS) -> list[str]:
    """Every target: wanted, measured, met."""
    lines = ["| what | figure | why | target | measured | met |", "|---|---|---|---|---|---|"]
    for target in targets:
        value = target.measured(rows)
        told = {True: "yes", False: "**no**", None: "not measured"}[target.met(rows)]
        shown = "" if value is None else f"{value:.3g}"
        clients = "" if target.clients is None else f", {target.clients} clients"
        lines.append(f"| {target.row}{clients} | {target.figure} | {target.why} | {target.text} | {shown} | {told} |")
    return lines


def requests_table(rows: Sequence[Row]) -> list[str]:
    """One line a row."""
    return [f"| {' | '.join(_HEAD)} |", "|" + "---|" * len(_HEAD), *(_line(row) for row in rows)]


def _line(row: Row) -> str:
    calls = ", ".join(f"{count:g} {_short(call)}" for call, count in row.kubernetes.items() if count >= 0.01)
    cells = [
        row.name,
        f"{row.clients}",
        f"{row.requests}",
        f"{row.failed}",
        f"{row.per_second:.0f}",
        "" if row.of_bare is None else f"{row.of_bare:.0%}",
        f"{row.quantile(0.5):.2f}",
        f"{row.quantile(0.95):.2f}",
        f"{row.quantile(0.99):.2f}",
        f"{row.cpu_ms:.2f}",
        "" if row.limit_ms is None else f"{row.limit_ms:.2f}",
        "" if not row.limit_ms else f"{row.cpu_ms / row.limit_ms:.1f}",
        calls or "0",
        f"{row.mongodb:.2g}",
        f"{row.memcached:.2g}",
        f"{row.rss_mib:.0f}" if row.rss_mib else "",
        f"{row.threads}" if row.threads else "",
        f"{row.descriptors}" if row.descriptors else "",
        f"{row.generator_ms:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _short(call: str) -> str:
    return "exec" if call == "get pods/exec" else call


def facts_table(rows: Sequence[Row]) -> list[str]:
    """What rows have beside the columns."""
    lines = ["| what | figure | value |", "|---|---|---|"]
    for row in rows:
        name = f"{row.name} ({row.clients} clients)" if row.clients > 1 else row.name
        lines += [
            f"| {name} | {figure} | {value:.4g} |"
            for figure, value in row.facts.items()
            if figure not in _MACHINE_FACTS
        ]
    return lines
