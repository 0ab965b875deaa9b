"""Each route called by each kind of caller; ``docs/routes.md`` is made of the answers."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import requests

from devstack.service import Service
from tests.support import Api
from tests.waiting import until

from .document import Operation

CALLERS: Final[Mapping[str, str]] = {
    "nobody": "no user token, no API key",
    "user": "a valid user token",
    "other user": "the token of another user, who names the first one's things",
    "wrong key": "a wrong API key",
    "right key": "a right API key",
    "both": "a right API key and a user token",
    "outside": "both, from an address outside `permitip`",
}
OUTSIDE: Final = "203.0.113.77"
#: The address ``other`` guesses keys from is not the others': a throttle stops it.
GUESSER: Final = "127.0.77.{number}"


def image(name: str, engine: str) -> dict[str, Any]:
    labels = {
        "oc.name": name, "oc.launch": f"{name}.{name}", "oc.icon": f"{name}.svg", "oc.cat": "games", "oc.keyword": name,
        "oc.icondata": base64.b64encode(b"<svg/>").decode(), "oc.containerengine": engine, "oc.path": "/usr/bin/game",
    }  # fmt: skip
    digest = name.encode().hex().rjust(64, "0")
    return {"Id": f"sha256:{digest}", "RepoTags": [f"matrix/{name}:1"], "Config": {"Cmd": ["/run"], "Labels": labels}}


INSIDE: Final = image("inside", "ephemeral_container")
APART: Final = image("apart", "pod_application")


@dataclass
class World:
    """A user with a desktop and two applications, another user with a desktop, and an operator."""

    service: Service
    user: Api = field(init=False)
    other: Api = field(init=False)
    desktop: str = ""
    container: str = ""
    pod: str = ""
    guesses: int = 0

    def __post_init__(self) -> None:
        self.user = Api(self.service.url, self.service.api_key)
        self.other = Api(self.service.url, self.service.api_key)
        for one in (self.user, self.other):
            one.login()

    def close(self) -> None:
        for one in (self.user, self.other):
            one.post("auth/logout")
            one.__exit__(None, None, None)

    def restore(self) -> None:
        """Make again whatever a call has taken away."""
        registered = self.user.manager("GET", "images").json()
        for one in (INSIDE, APART):
            if one["RepoTags"][0] not in registered:
                self.user.manager("POST", "image", json=one).raise_for_status()
        for one in (self.user, self.other):
            if one.post("composer/launchdesktop").json()["status"] != 200:  # logged out: the account is forgotten
                one.login()
                one.result("composer/launchdesktop")
        self.user.result("store/set", {"key": "dock", "value": ["a"]})
        self.user.manager("POST", "ban/login/matrix%40example.org").raise_for_status()
        running = {entry["id"]: entry for entry in self._applications()}
        if self.container not in running or self.pod not in running:
            self._run()
        self.desktop = next(entry["podname"] for entry in self._applications() if entry["id"] == self.container)

    def _run(self) -> None:
        ids = [
            self.user.result("composer/ocrun", {"image": one["RepoTags"][0]})["container_id"] for one in (INSIDE, APART)
        ]
        self.container, self.pod = ids
        until(lambda: {entry["id"] for entry in self._applications() if entry["status"] == "Running"} >= set(ids))

    def _applications(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.user.result("composer/listcontainer")
        return found

    def call(self, operation: Operation, caller: str) -> requests.Response:
        """Send the request to ``operation`` that would succeed for the right caller."""
        path, query = self._target(operation)
        headers, token = self._credentials(caller)
        arguments: dict[str, Any] = {"token": token, "headers": headers, "params": query, "allow_redirects": False}
        if operation.method in ("POST", "PUT", "PATCH"):
            arguments["json"] = self._body(operation)
        return self.user.request(operation.method, path, **arguments)

    def _credentials(self, caller: str) -> tuple[dict[str, str], str | None]:
        headers: dict[str, str] = {}
        if caller in ("right key", "both", "outside"):
            headers["X-API-Key"] = self.service.api_key
        if caller == "wrong key":
            self.guesses += 1
            headers.update({"X-API-Key": "wrong", "X-Forwarded-For": GUESSER.format(number=self.guesses % 250 + 1)})
        if caller == "outside":
            headers["X-Forwarded-For"] = OUTSIDE
        tokens = {"user": self.user.token, "both": self.user.token, "outside": self.user.token}
        return headers, self.other.token if caller == "other user" else tokens.get(caller)

    def _target(self, operation: Operation) -> tuple[str, dict[str, str]]:
        is_ban = "/ban/" in operation.path
        values = {
            "name": self.desktop,
            "cid": self.container,
            "pid": self.pod,
            "collection": "login" if is_ban else str(self.user.userid),
            "value": "matrix@example.org",
            "database": "profiles",
            "kind": "dock",
            "first": "2026-01-01 00:00:00",
            "last": "2026-12-31 23:59:59",
            "image_id": INSIDE["RepoTags"][0],
            "more": "more",
            "userid": str(self.user.userid),
        }
        path = operation.path.removeprefix("/API/")
        for name, value in values.items():
            path = path.replace("{" + name + "}", quote(value, safe=""))
        query = {"manager/garbagecollector": {"expirein": "86400", "nodename": "none"}, "key/key": {"length": "2048"}}
        return path, query.get(path, {})

    def _body(self, operation: Operation) -> Any:
        named = {"podname": self.desktop, "containerid": self.container}
        apart = {"podname": self.pod, "containerid": self.pod}
        bodies: dict[str, Any] = {
            "auth/auth": {"provider": "anonymous"},
            "composer/ocrun": {"image": INSIDE["RepoTags"][0]},
            "composer/logcontainer": named,
            "composer/envcontainer": named,
            "composer/stopcontainer": apart,
            "composer/removecontainer": apart,
            "composer/list_applications_by_phase": {"phase": "Running"},
            "core/getkeyinfo": {"provider": "colors"},
            "store/get": {"key": "dock"},
            "store/set": {"key": "dock", "value": ["b"]},
            "store/getcollection": {"key": "loginHistory"},
            "tracker/issue": {"summary": "it does not work"},
            "manager/explain": {"provider": "anonymous"},
            "manager/image": INSIDE,
            "manager/image/{image_id}": INSIDE,
            "manager/datastore/{database}/{collection}/{kind}": ["c"],
        }
        return bodies.get(operation.path.removeprefix("/API/"), {})


#: What takes something away that later calls need.
DESTRUCTIVE: Final = ("DELETE", "logout", "stopcontainer", "removecontainer")


def measure(
    world: World, operations: Iterable[Operation], check: Callable[[Operation, str, requests.Response], None]
) -> dict[str, list[int]]:
    """Status by caller of each operation. check: called with every answer."""
    table: dict[str, list[int]] = {}
    world.restore()
    for operation in operations:
        row = []
        for caller in CALLERS:
            answer = world.call(operation, caller)
            check(operation, caller, answer)
            row.append(answer.status_code)
            if answer.ok and any(word in operation.name for word in DESTRUCTIVE):
                world.restore()
        table[operation.name] = row
    return table


HEAD: Final = """# Who gets what: every route, every caller

<!-- Made by tests/web/test_route_matrix.py from the answers of a running service: `make docs` writes it anew. -->

The HTTP status that each route answers to each caller. Each request is one that succeeds for the right caller: it names
a desktop, a container and an application that exist. The service was configured with an API key and `permitip` for
ManagerController, AccountingController and KeyController, with `openapi_public`, and otherwise as od.config ships.

A 200 is not always a yes: without a token `auth/logout`, `auth/disconnect` and `auth/labels` answer 200 with a failure
in the body, `user/whoami` nulls, and `auth/isauthenticated` false, because pages expect that.

"""


def page(table: Mapping[str, list[int]]) -> str:
    """The text of docs/routes.md."""
    lines = [HEAD + "\n".join(f"- **{name}**: {text}" for name, text in CALLERS.items()), ""]
    lines += ["| Route | " + " | ".join(CALLERS) + " |", "|---" * (len(CALLERS) + 1) + "|"]
    lines += [f"| `{name}` | " + " | ".join(map(str, row)) + " |" for name, row in table.items()]
    return "\n".join(lines) + "\n"
