"""Counting and timing: what one request costs in time, processor time and calls to the cluster."""

from __future__ import annotations

import http.client
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Client:
    """One keep-alive connection to pyos, as a browser or a router has it. Not thread-safe."""

    def __init__(self, port: int, token: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=320)
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        if token:
            self._headers["ABCAuthorization"] = f"Bearer {token}"

    def post(self, path: str, body: Any = None) -> Any:
        """The decoded answer. Raises RuntimeError for anything but HTTP 200 without an ``error``."""
        self._connection.request("POST", f"/API/{path}", json.dumps({} if body is None else body), self._headers)
        answer = self._connection.getresponse()
        data = answer.read()
        value = json.loads(data) if data.startswith((b"{", b"[")) else data.decode()
        if answer.status != 200 or (isinstance(value, dict) and value.get("error")):
            raise RuntimeError(f"{path}: {answer.status} {data[:300]!r}")
        return value

    def get(self, path: str) -> bytes:
        """The body of a GET request."""
        self._connection.request("GET", path, headers={})
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
        return data


@dataclass(frozen=True)
class Process:
    """A process under measurement."""

    pid: int

    def cpu_seconds(self) -> float:
        """User and system time so far, all threads."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

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


class ClusterLog:
    """The request log of the development cluster."""

    def __init__(self, url: str, token: str, ca_file: Path) -> None:
        self._url = f"{url}/_devstack/requests"
        self._http = requests.Session()
        self._http.trust_env = False  # a bundle of the environment would win over ours
        self._http.verify = str(ca_file) if ca_file.exists() else True
        self._http.headers["Authorization"] = f"Bearer {token}"

    def reset(self) -> None:
        """Forget what was logged."""
        self._http.delete(self._url, timeout=10).raise_for_status()

    def requests(self) -> list[dict[str, Any]]:
        """What was asked since, in order."""
        answer = self._http.get(self._url, timeout=10)
        answer.raise_for_status()
        return list(answer.json()["requests"])


@dataclass
class Result:
    """One row: times in milliseconds, cpu in milliseconds of the process per request."""

    name: str
    clients: int
    requests: int
    seconds: float
    cpu_ms: float
    times_ms: list[float] = field(repr=False)
    calls: dict[str, float] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Throughput."""
        return self.requests / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        """A quantile of the times, nearest rank."""
        ordered = sorted(self.times_ms)
        return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))] if ordered else 0.0

    def row(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "name": self.name,
            "clients": self.clients,
            "requests": self.requests,
            "per_second": round(self.per_second, 1),
            "p50_ms": round(self.quantile(0.5), 2),
            "p95_ms": round(self.quantile(0.95), 2),
            "p99_ms": round(self.quantile(0.99), 2),
            "cpu_ms": round(self.cpu_ms, 2),
            "kubernetes_calls": self.calls,
        }


def measure(
    name: str, process: Process, actions: Sequence[Callable[[], object]], rounds: int, log: ClusterLog | None = None
) -> Result:
    """Run each action ``rounds`` times, one thread an action, and count.

    Long-lived watches are not counted as calls: they belong to the process, not to a request.
    """
    if log is not None:
        log.reset()
    times: list[list[float]] = [[] for _ in actions]

    def work(index: int) -> None:
        for _ in range(rounds):
            began = time.perf_counter()
            actions[index]()
            times[index].append((time.perf_counter() - began) * 1000)

    cpu, started = process.cpu_seconds(), time.perf_counter()
    with ThreadPoolExecutor(len(actions)) as pool:
        for done in [pool.submit(work, index) for index in range(len(actions))]:
            done.result()
    seconds, cpu = time.perf_counter() - started, process.cpu_seconds() - cpu
    total = rounds * len(actions)
    calls: dict[str, float] = {}
    for request in log.requests() if log is not None else ():
        if request.get("verb") == "watch":
            continue
        subresource = f"/{request['subresource']}" if request.get("subresource") else ""
        key = f"{request.get('verb')} {request.get('resource')}{subresource}"
        calls[key] = calls.get(key, 0) + 1
    return Result(
        name,
        len(actions),
        total,
        seconds,
        cpu * 1000 / total,
        [time for part in times for time in part],
        {key: round(count / total, 2) for key, count in sorted(calls.items())},
    )
