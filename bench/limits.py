"""The limits a figure is compared with, measured in the same run on the same machine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jwt
import requests

from devstack.children import die_with_parent
from devstack.service import free_port

BARE = """
import sys, cherrypy
class Root:
    @cherrypy.expose
    def ok(self):
        return "OK"
cherrypy.config.update({"server.socket_host": "127.0.0.1", "server.socket_port": int(sys.argv[1]),
    "server.thread_pool": int(sys.argv[2]), "engine.autoreload.on": False, "log.screen": False,
    "environment": "production"})
cherrypy.quickstart(Root(), "/API")
"""


@contextmanager
def bare_handler(threads: int) -> Iterator[tuple[int, int]]:
    """A CherryPy process whose only handler answers ``OK``: ``(port, pid)``."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", BARE, str(port), str(threads)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    try:
        end = time.monotonic() + 20
        while True:
            try:
                requests.get(f"http://127.0.0.1:{port}/API/ok", timeout=1).raise_for_status()
                break
            except requests.ConnectionError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)


def signature_ms(private_key: Path, rounds: int = 50) -> float:
    """Processor time of one RS256 signature with a key that is already parsed."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(private_key.read_bytes(), None)
    began = time.process_time()
    for _ in range(rounds):
        jwt.encode({"exp": 1}, key, algorithm="RS256")  # type: ignore[arg-type]
    return (time.process_time() - began) * 1000 / rounds
