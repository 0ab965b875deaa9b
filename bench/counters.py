"""What pyos asked of Kubernetes, MongoDB and memcached, counted by those three."""

from __future__ import annotations

import socket
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

import requests
from pymongo import MongoClient

from devstack.stack import Stack

# bulkWrite, which history records are written with, is a "command"; so are heartbeats of drivers, one or two a second.
_OPERATIONS = ("insert", "query", "update", "delete", "command")
_COMMANDS = (
    "cmd_get", "cmd_set", "cmd_touch", "delete_hits", "delete_misses", "incr_hits", "incr_misses", "decr_hits",
    "decr_misses",
)  # fmt: skip
_TIMEOUT_SECONDS = 60.0


@dataclass
class Calls:
    """Counts between two moments. Watches are not counted: they belong to a process, not to a request."""

    kubernetes: Counter[str] = field(default_factory=Counter)
    mongodb: int = 0
    memcached: int = 0
    unlabelled_lists: int = 0


class ClusterControl:
    """The devstack's own address at the development cluster: counters, faults, behaviour of pods."""

    def __init__(self, stack: Stack) -> None:
        self._url = f"{stack.server_url}/_devstack/"
        self._http = requests.Session()
        self._http.trust_env = False  # a bundle of the environment would win over ours
        ca_file = stack.state / "kubeconfig.ca"
        self._http.verify = str(ca_file) if ca_file.exists() else True
        self._http.headers["Authorization"] = f"Bearer {stack.devstack_token}"

    def call(self, method: str, what: str, body: Any = None) -> Any:
        """One request; the decoded answer. Raises requests.RequestException."""
        answer = self._http.request(method, self._url + what, json=body, timeout=_TIMEOUT_SECONDS)
        answer.raise_for_status()
        return answer.json()

    def forget(self) -> None:
        """Count from nothing again."""
        self.call("DELETE", "requests")

    def requests(self) -> tuple[Counter[str], int]:
        """Requests since: how many by ``verb resource``, without watches; how many lists had no label selector."""
        seen = self.call("GET", "requests")
        counted: Counter[str] = Counter()
        for key, count in seen["counters"].items():
            verb, resource, _ = key.split(" ")
            if verb != "watch":
                counted[f"{verb} {resource}"] += count
        return counted, sum(one["verb"] == "list" and not one["label_selector"] for one in seen["requests"])

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


class RoundTrips:
    """The counters of the three."""

    def __init__(self, stack: Stack) -> None:
        self.control = ClusterControl(stack)
        self._memcached = stack.memcached
        self._mongo: MongoClient[dict[str, Any]] = MongoClient(stack.mongodb_url, directConnection=True)
        self._before = Calls()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.control.close()
        self._mongo.close()

    def begin(self) -> None:
        """Count from here."""
        self._before = Calls(mongodb=self._mongodb_operations(), memcached=self._memcached_commands())
        self.control.forget()

    def end(self) -> Calls:
        """All counts since ``begin``."""
        kubernetes, unlabelled = self.control.requests()
        before = self._before
        return Calls(
            kubernetes,
            self._mongodb_operations() - before.mongodb,
            self._memcached_commands() - before.memcached,
            unlabelled,
        )

    def _mongodb_operations(self) -> int:
        counters = self._mongo.admin.command("serverStatus")["opcounters"]
        return sum(int(counters[name]) for name in _OPERATIONS)

    def _memcached_commands(self) -> int:
        if self._memcached is None:
            return 0
        with socket.create_connection(self._memcached, timeout=_TIMEOUT_SECONDS) as connection:
            connection.sendall(b"stats\r\nquit\r\n")
            text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        values = dict(line.split(" ")[1:3] for line in text.splitlines() if line.startswith("STAT "))
        return sum(int(values.get(name, 0)) for name in _COMMANDS)
