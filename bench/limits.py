"""The limits that figures are compared with, measured in the same run on the same machine."""

from __future__ import annotations

import http.client
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import requests
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pymemcache.client.base import Client as Memcached
from pymongo import MongoClient

from bench.load import Ask, Engine, encode, repeat
from bench.measuring import Process, Row, Watcher
from bench.world import World
from devstack.children import die_with_parent
from devstack.service import free_port
from oc.web.lanes import default_lanes, pool_size
from oc.web.server import ApiServer

CLIENTS = (1, 8, 32)
BARE = "limit: bare CherryPy"
ROUNDS = 3
_SHORT_THREADS = 10
_WARM_SECONDS, _SECONDS, _BARE_SECONDS = 0.3, 2.0, 1.0

_BARE = """
import sys, cherrypy
from cherrypy._cpwsgi_server import CPWSGIServer
class Root:
    @cherrypy.expose
    def ok(self):
        return "OK"
CPWSGIServer.keep_alive_conn_limit = int(sys.argv[3])
cherrypy.config.update({"server.socket_host": "127.0.0.1", "server.socket_port": int(sys.argv[1]),
    "server.thread_pool": int(sys.argv[2]), "server.socket_queue_size": 128, "environment": "production"})
cherrypy.quickstart(Root(), "/API")
"""


@dataclass(frozen=True)
class Costs:
    """Processor time, in milliseconds, of what a request cannot do without."""

    bare: float = 0.0
    signature: float = 0.0
    kubernetes: float = 0.0
    mongodb: float = 0.0
    memcached: float = 0.0

    def of(self, row: Row, signatures: float) -> float:
        """The limit of a row: a bare handler's time, its signatures and its round trips at the raw price of each."""
        return (
            self.bare
            + signatures * self.signature
            + row.kubernetes_calls * self.kubernetes
            + row.mongodb * self.mongodb
            + row.memcached * self.memcached
        )


@dataclass(frozen=True)
class Bare:
    """The bare handler at work."""

    port: int
    pid: int

    def row(self, clients: int, seconds: float = _SECONDS) -> Row:
        """It under POST of ``{}``."""
        with Engine([self.port]) as engine:
            asks = [Ask("ok", encode("POST", "ok"))] * clients
            return closed_loop(engine, Watcher([Process(self.pid)]), BARE, asks, seconds=seconds)

    def beside(self, measure: Callable[[], Row]) -> Row:
        """The best of ROUNDS measurements. ``of_bare``: the median of their shares of what the bare handler did with
        as many clients just after each; the machine is shared, and a minute later another one.
        """
        rows, shares = [], []
        for _ in range(ROUNDS):
            rows.append(row := measure())
            shares.append(row.per_second / self.row(row.clients, _BARE_SECONDS).per_second)
        best = best_of(rows)
        best.of_bare = statistics.median(shares)
        return best


def best_of(rows: Sequence[Row]) -> Row:
    """The row of most requests a second, with the failures of all."""
    best = max(rows, key=lambda row: row.per_second)
    best.failed, best.notes = sum(row.failed for row in rows), [note for row in rows for note in row.notes]
    return best


@contextmanager
def bare_handler() -> Iterator[Bare]:
    """A CherryPy process whose only handler answers ``OK``, with threads and kept connections as pyos."""
    port = free_port()
    threads = pool_size(_SHORT_THREADS, default_lanes(_SHORT_THREADS))
    process = subprocess.Popen(
        [sys.executable, "-c", _BARE, str(port), str(threads), str(ApiServer.keep_alive_conn_limit)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    try:
        _await(f"http://127.0.0.1:{port}/API/ok")
        yield Bare(port, process.pid)
    finally:
        process.terminate()
        process.wait(10)


def _await(url: str) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            requests.get(url, timeout=1).raise_for_status()
        except requests.ConnectionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def _loop(engine: Engine, asks: list[Ask], seconds: float) -> None:
    end = time.perf_counter() + seconds
    for ask in asks:
        engine.start(repeat(ask, end))
    engine.run()


def closed_loop(engine: Engine, watcher: Watcher, name: str, asks: list[Ask], *, seconds: float = _SECONDS) -> Row:
    """One client an Ask, which it repeats as fast as it is answered; the row of ``seconds`` after a warm-up."""
    _loop(engine, asks, _WARM_SECONDS)
    engine.check()
    warm = len(engine.tally(asks[0].name).milliseconds)
    engine.reset()
    with watcher.watching():
        _loop(engine, asks, seconds)
    engine.check()
    row = watcher.row_of(name, engine, len(asks), asks[0].name)
    row.warm = warm
    return row


def bare_rows() -> list[Row]:
    """The bare handler with 1, 8 and 32 clients."""
    with bare_handler() as bare:
        rows = [bare.row(count) for count in CLIENTS]
    for row in rows:
        row.of_bare = 1.0
    return rows


def _timed(name: str, action: Callable[[], object], rounds: int) -> Row:
    """Wall and processor time of this thread for one action, repeated."""
    for _ in range(max(3, rounds // 10)):
        action()
    times, cpu, began = [], time.thread_time(), time.perf_counter()
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append((time.perf_counter() - start) * 1000)
    cpu, seconds = time.thread_time() - cpu, time.perf_counter() - began
    return Row(name, clients=1, requests=rounds, seconds=seconds, cpu_ms=cpu * 1000 / rounds, times_ms=times)


def signature_row(private_key: Path) -> Row:
    """One RS256 signature with a key that is parsed already."""
    key: Any = load_pem_private_key(private_key.read_bytes(), None)
    return _timed("limit: RS256 signature", lambda: jwt.encode({"exp": 1}, key, algorithm="RS256"), 200)


class _Raw:
    """One keep-alive TLS connection to the API server, with requests that are encoded already."""

    def __init__(self, world: World) -> None:
        stack = world.stack
        assert stack.server_url
        host, _, port = stack.server_url.partition("//")[2].partition(":")
        context = ssl.create_default_context(cafile=str(stack.state / "kubeconfig.ca"))
        self._connection = http.client.HTTPSConnection(host, int(port), timeout=30, context=context)
        self._headers = {"Authorization": f"Bearer {stack.admin_token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:200]!r}")
        return data


def neighbour_rows(world: World) -> list[Row]:
    """One raw round trip to each neighbour of pyos: Kubernetes (get a pod, create a secret), memcached, MongoDB."""
    world.user(desktop=True)
    raw = _Raw(world)
    pods = f"/api/v1/namespaces/{world.stack.namespace}/pods"
    name = world.stack.cluster_admin("GET", pods)["items"][0]["metadata"]["name"]
    rows = [_timed("limit: Kubernetes, get a pod", lambda: raw.ask("GET", f"{pods}/{name}"), 200)]
    numbers = iter(range(10**6))
    secrets = f"/api/v1/namespaces/{world.stack.namespace}/secrets"

    def create() -> None:
        body = b'{"metadata":{"name":"bench-%d"},"data":{"password":"c2VjcmV0"}}' % next(numbers)
        raw.ask("POST", secrets, body)

    rows.append(_timed("limit: Kubernetes, create a secret", create, 100))
    if world.stack.memcached:
        cache = Memcached(world.stack.memcached)
        rows.append(_timed("limit: memcached, set", lambda: cache.set("bench", b"x" * 40, 60, noreply=False), 500))
        rows.append(_timed("limit: memcached, get", lambda: cache.get("bench"), 500))
        cache.close()
    with MongoClient[dict[str, Any]](world.stack.mongodb_url, directConnection=True) as client:
        collection = client["profiles"]["bench"]
        collection.insert_one({"id": "bench", "value": 1})
        rows.append(_timed("limit: MongoDB, find one", lambda: collection.find_one({"id": "bench"}), 200))
        collection.drop()
    return rows


def best_of_bare(rows: list[Row]) -> dict[int, float]:
    """Requests a second of the bare handler by number of clients, the best of all times it was measured."""
    best: dict[int, float] = {}
    for row in rows:
        if row.name == BARE:
            best[row.clients] = max(best.get(row.clients, 0.0), row.per_second)
    return best


def costs(rows: list[Row]) -> Costs:
    """The prices out of the measured limits."""
    by_name = {row.name: row for row in rows if row.name != BARE}

    def price(*names: str) -> float:
        found = [by_name[name].cpu_ms for name in names if name in by_name]
        return sum(found) / len(found) if found else 0.0

    bare = [row.cpu_ms for row in rows if row.name == BARE]
    return Costs(
        min(bare, default=0.0),
        price("limit: RS256 signature"),
        price("limit: Kubernetes, get a pod", "limit: Kubernetes, create a secret"),
        price("limit: MongoDB, find one"),
        price("limit: memcached, set", "limit: memcached, get"),
    )
