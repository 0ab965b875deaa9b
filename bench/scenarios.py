"""What is measured: the requests of the web front end, one scenario each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from bench.measuring import Client, ClusterLog, Process, Result, measure
from devstack.session import SAMPLES


@dataclass(frozen=True)
class Bench:
    """The running service."""

    port: int
    api_key: str
    process: Process
    log: ClusterLog

    def client(self) -> Client:
        """A connection without a token."""
        return Client(self.port)

    def user(self) -> Client:
        """A connection of somebody who just logged in."""
        return Client(self.port, str(log_in(self.client())))

    def register(self) -> None:
        """Put the sample applications into the catalogue."""
        operator = Client(self.port, headers={"X-API-Key": self.api_key})
        operator.post("manager/image", json.loads(SAMPLES.read_text(encoding="utf-8")))


def log_in(client: Client) -> object:
    """Log in without a name; the user token."""
    return client.post("auth/auth", {"provider": "anonymous"})["result"]["jwt_user_token"]


Scenario = Callable[[Bench], list[Result]]
CLIENTS = (1, 8)


def healthz(bench: Bench) -> list[Result]:
    """The probe of the cluster."""

    def actions(count: int) -> list[Callable[[], object]]:
        clients = [bench.client() for _ in range(count)]
        return [lambda client=client: client.get("/API/healthz") for client in clients]  # type: ignore[misc]

    return [measure("healthz", bench.process, actions(n), 800 // n, bench.log) for n in CLIENTS]


def auth_anonymous(bench: Bench) -> list[Result]:
    """One login without a name."""

    def actions(count: int) -> list[Callable[[], object]]:
        clients = [bench.client() for _ in range(count)]
        return [lambda client=client: log_in(client) for client in clients]  # type: ignore[misc]

    return [measure("auth anonymous", bench.process, actions(n), 160 // n, bench.log) for n in CLIENTS]


def _short(name: str, path: str, rounds: int = 400, desktop: bool = False) -> Scenario:
    def scenario(bench: Bench) -> list[Result]:
        results = []
        for count in CLIENTS:
            users = [bench.user() for _ in range(count)]
            if desktop:
                for user in users:
                    user.post("composer/launchdesktop")
            actions: list[Callable[[], object]] = [lambda user=user: user.post(path) for user in users]  # type: ignore[misc]
            results.append(measure(name, bench.process, actions, rounds // count, bench.log))
            for user in users:
                user.post("auth/logout")
        return results

    scenario.__doc__ = f"POST {path}."
    return scenario


def launch_cold(bench: Bench) -> list[Result]:
    """A first launch: no desktop is there yet."""
    users = [bench.user() for _ in range(16)]
    waiting = iter(users)
    result = measure(
        "launchdesktop, cold", bench.process, [lambda: next(waiting).post("composer/launchdesktop")], 16, bench.log
    )
    for user in users:
        user.post("auth/logout")
    return [result]


def _ocrun(name: str, image: str) -> Scenario:
    def scenario(bench: Bench) -> list[Result]:
        bench.register()
        user = bench.user()
        user.post("composer/launchdesktop")
        result = measure(name, bench.process, [lambda: user.post("composer/ocrun", {"image": image})], 20, bench.log)
        user.post("auth/logout")
        return [result]

    scenario.__doc__ = f"Start {image}."
    return scenario


def logout(bench: Bench) -> list[Result]:
    """Log out with a desktop: everything is removed."""
    users = [bench.user() for _ in range(8)]
    for user in users:
        user.post("composer/launchdesktop")
    waiting = iter(users)
    return [measure("logout", bench.process, [lambda: next(waiting).post("auth/logout")], 8, bench.log)]


SCENARIOS: dict[str, Scenario] = {
    "healthz": healthz,
    "auth": auth_anonymous,
    "getmessageinfo": _short("getmessageinfo", "core/getmessageinfo"),
    "whoami": _short("whoami", "user/whoami", desktop=True, rounds=160),
    "getuserapplist": _short("getuserapplist", "composer/getuserapplist"),
    "refreshtoken": _short("refreshtoken", "auth/refreshtoken"),
    "refreshdesktoptoken": _short("refreshdesktoptoken", "composer/refreshdesktoptoken", desktop=True),
    "listcontainer": _short("listcontainer", "composer/listcontainer", desktop=True),
    "resume": _short("launchdesktop, resume", "composer/launchdesktop", desktop=True, rounds=80),
    "cold": launch_cold,
    "ocrun": _ocrun("ocrun ephemeral", "dev.local/clock.d:1.0"),
    "ocrunpod": _ocrun("ocrun pod", "dev.local/notes.d:1.0"),
    "logout": logout,
}
