"""From the start of the process to the first answer of its health route."""

from __future__ import annotations

import http.client
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.measuring import Process, Row
from bench.world import World
from devstack.service import Backends, Service, free_port

ROUNDS = 3
_SECONDS = 60.0


def boot(world: World) -> list[Row]:
    """Everything reachable; then MongoDB and memcached away."""
    away = replace(
        world.backends, mongodb_url=f"mongodb://127.0.0.1:{free_port()}", memcached=("127.0.0.1", free_port())
    )
    return [
        _measured("boot, everything reachable", world.backends),
        _measured("boot, MongoDB and memcached away", away),
    ]


def _measured(name: str, backends: Backends) -> Row:
    times, cpu, rss = [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="pyos-bench-") as directory:
            service = Service(Path(directory), backends)
            began = time.perf_counter()
            service.start(wait=False)
            try:
                assert service.process
                _await(service)
                times.append(time.perf_counter() - began)
                process = Process(service.process.pid)
                cpu.append(process.cpu_seconds())
                rss.append(process.rss_bytes() / 1e6)
            finally:
                service.kill()
    row = Row(name)
    row.facts |= {"seconds": statistics.median(times), "cpu_seconds": statistics.median(cpu), "rss_mb": max(rss)}
    return row


def _await(service: Service) -> None:
    end = time.perf_counter() + _SECONDS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=5)
        try:
            connection.request("GET", "/API/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            if time.perf_counter() > end or (service.process and service.process.poll() is not None):
                raise RuntimeError(f"pyos did not start:\n{service.log_tail()}") from None
            time.sleep(0.005)
        finally:
            connection.close()
