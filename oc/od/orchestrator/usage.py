"""What a container uses of processor and memory, read from its control group (spec orchestration.md 8.5).

https://docs.kernel.org/admin-guide/cgroup-v1/ and https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from kubernetes.utils.quantity import parse_quantity

from oc.od.orchestrator.client import KubernetesClient
from oc.od.orchestrator.errors import CommandNotStartedError, ExecError, KubernetesError
from oc.od.orchestrator.execution import run_in_container

logger = logging.getLogger(__name__)

CPU: Final = "cpuacct.usage"
QUOTA: Final = "cpu.cfs_quota_us"
MEMORY: Final = "memory.usage_in_bytes"
MEMORY_LIMIT: Final = "memory.limit_in_bytes"

VERSION_2: Final[Mapping[str, str]] = {
    CPU: "/sys/fs/cgroup/cpu.stat",
    QUOTA: "/sys/fs/cgroup/cpu.max",
    MEMORY: "/sys/fs/cgroup/memory.current",
    MEMORY_LIMIT: "/sys/fs/cgroup/memory.max",
}
VERSION_1: Final[Mapping[str, str]] = {
    CPU: "/sys/fs/cgroup/cpu/cpuacct.usage",
    QUOTA: "/sys/fs/cgroup/cpuacct/cpu.cfs_quota_us",
    MEMORY: "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    MEMORY_LIMIT: "/sys/fs/cgroup/memory/memory.limit_in_bytes",
}

READ_SECONDS: Final = 10.0
PERIOD_US: Final = 100_000
_NO_LIMIT_V1: Final = 2**62
"""Without a limit version 1 shows the largest number that is a multiple of a page."""

_SCRIPT: Final = 'for file in "$@"; do printf \'\\n=== %s\\n\' "$file"; cat "$file" 2>/dev/null; done; exit 0'
_HEAD: Final = "=== "


def read_usage(
    client: KubernetesClient,
    pod: str,
    container: str,
    files: Mapping[str, str] | None,
    limits: Mapping[str, Any],
) -> dict[str, Any]:
    """``timestamp`` (seconds since the epoch) and, as decimal texts, those of the four values that are to be had.

    files: metric -> file, as configured; None reads both versions' and takes what is there. limits: ``cpu`` and
    ``memory`` of the container (Kubernetes quantities), for groups without one. One exec, whatever the files.
    Raises KubernetesError when the API is away; a container without a shell, or not running, gives no values.
    """
    maps = [files] if files is not None else [VERSION_2, VERSION_1]
    paths = sorted({path for one in maps for path in one.values()})
    texts: dict[str, str] = {}
    try:
        result = run_in_container(
            client, pod, container, ["/bin/sh", "-c", _SCRIPT, "sh", *paths], timeout=READ_SECONDS
        )
        texts = split_files(result.stdout.decode("utf-8", "replace"))
    except CommandNotStartedError:
        logger.info("no usage of %s %s: it has no shell", pod, container)
    except ExecError as error:
        logger.info("no usage of %s %s: %s", pod, container, error.doing)
    except KubernetesError as error:
        if error.code in (0, 401, 403, 429, 503):
            raise
        logger.info("no usage of %s %s: it does not run", pod, container)
    values: dict[str, Any] = {"timestamp": time.time()}
    for one in maps:
        for metric, path in one.items():
            text = texts.get(path)
            value = metric_value(metric, text, limits) if text else None
            if value is not None:
                values.setdefault(metric, value)
    return values


def split_files(output: str) -> dict[str, str]:
    """File -> content out of what the script prints; files that are not there or empty are left out."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in output.splitlines():
        if line.startswith(_HEAD):
            current = found.setdefault(line[len(_HEAD) :], [])
        elif line.strip():
            current.append(line.strip())
    return {path: "\n".join(lines) for path, lines in found.items() if lines}


def metric_value(metric: str, text: str, limits: Mapping[str, Any]) -> str | None:
    """The value of one metric in the units of version 1 (ns, µs per 100 ms, bytes); None when there is none."""
    words = text.split()
    if metric == CPU and "usage_usec" in words[:-1]:
        usage = words[words.index("usage_usec") + 1]
        return str(int(usage) * 1000) if usage.isdigit() else None
    if metric == QUOTA:
        return _quota(words, limits)
    first = words[0]
    if metric == MEMORY_LIMIT and (first == "max" or (first.isdigit() and int(first) >= _NO_LIMIT_V1)):
        limit = _quantity(limits.get("memory"))
        return None if limit is None else str(int(limit))
    return first if first.isdigit() else None


def _quota(words: list[str], limits: Mapping[str, Any]) -> str | None:
    """Version 2 says ``$MAX $PERIOD``, version 1 a number, -1 for none."""
    if words[0] in ("max", "-1"):
        cores = _quantity(limits.get("cpu"))
        return "-1" if cores is None else str(int(cores * PERIOD_US))
    if not all(word.isdigit() for word in words[:2]):
        return None
    period = int(words[1]) if len(words) > 1 else PERIOD_US
    return str(int(words[0]) * PERIOD_US // period) if period else None


def _quantity(value: Any) -> Decimal | None:
    if value is None:
        return None
    try:
        found: Decimal = parse_quantity(value)  # type: ignore[no-untyped-call]
    except ValueError:
        return None
    return found
