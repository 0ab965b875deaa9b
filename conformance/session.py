"""One whole session of pyos on the cluster under test, by its HTTP interface, checked against the cluster itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import requests

from conformance.cluster import Cluster
from conformance.configuration import APPLICATION_SAYS, DESKTOP_SAYS, application
from conformance.report import Report, StepError, hold
from devstack.service import Service

T = TypeVar("T")
REQUEST_SECONDS = 320.0
WAIT_SECONDS = 120.0
CLICKS = 10
ORIGIN = "http://localhost:30443"
EPHEMERAL, POD = "ephemeral_container", "pod_application"
DESKTOP = "x11server"


def until(found: Callable[[], T | None], what: str, seconds: float = WAIT_SECONDS) -> T:
    """The first true answer of ``found``. Raises StepError."""
    end = time.monotonic() + seconds
    while True:
        value = found()
        if value:
            return value
        if time.monotonic() > end:
            raise StepError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.2)


class Session:
    """The steps; each raises when it does not hold."""

    def __init__(self, cluster: Cluster, namespace: str, service: Service, image: str, report: Report) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._service = service
        self._image = image
        self._report = report
        self._http = requests.Session()
        self._http.trust_env = False
        self._token = ""
        self._user = ""

    def run(self) -> None:
        """All steps in their order."""
        step = self._report.step
        with step("log in: the user's secrets are written"):
            self._log_in()
        with step("launch: init container, pod, shared watch, exec of the readiness checks"):
            desktop = self._launch()
        with step(f"{CLICKS} launches at once: the same desktop, resumed"):
            self._click(desktop)
        with step("log of the desktop"):
            until(lambda: DESKTOP_SAYS in str(self._result("composer/getlogs")), "the desktop's log")
        for engine in (EPHEMERAL, POD):
            self._application(engine)
        with step("operators list and read the desktop"):
            self._operate(desktop)
        with step("tokens are refreshed"):
            self._token = self._result("auth/refreshtoken")["jwt_user_token"]
            hold(self._result("composer/refreshdesktoptoken", {"app": None})["authorization"], "no desktop token")
        with step("log out: nothing is left"):
            hold(self._post("auth/logout")["status"] == 200, "logout failed")
            self._nothing_left()
        with step("garbage collection: spared while used lately, removed when idle, nothing is left"):
            self._collect()

    # -- steps ---------------------------------------------------------------------------------------------------

    def _log_in(self) -> None:
        result = self._result("auth/auth", {"manager": None, "provider": "anonymous"})
        self._token, self._user = result["jwt_user_token"], result["userid"]
        kinds = {one["type"] for one in self._cluster.secrets(self._namespace, self._user)}
        hold({"abcdesktop/ldif", "abcdesktop/localaccount"} <= kinds or len(kinds) >= 2, f"secrets: {sorted(kinds)}")

    def _launch(self) -> dict[str, Any]:
        result = self._result("composer/launchdesktop", {"timezone": "Europe/Paris"})
        hold(result["vncpassword"] and result["authorization"], result)
        return self._desktop()

    def _desktop(self) -> dict[str, Any]:
        found = self._pods(DESKTOP)
        hold(len(found) == 1, f"desktops: {[pod['metadata']['name'] for pod in found]}")
        hold(found[0]["status"]["phase"] == "Running", found[0]["status"])
        return found[0]

    def _click(self, desktop: dict[str, Any]) -> None:
        with ThreadPoolExecutor(CLICKS) as pool:
            results = list(pool.map(lambda _: self._result("composer/launchdesktop"), range(CLICKS)))
        hold(len({one["vncpassword"] for one in results}) == 1, "several passwords")
        hold(self._desktop()["metadata"]["uid"] == desktop["metadata"]["uid"], "the desktop was replaced")

    def _application(self, engine: str) -> None:
        step, label = self._report.step, engine.replace("_", " ")
        with step(f"{label}: registered, started, running"):
            self._manager("POST", "image", json=application(self._image, engine))
            until(lambda: self._offered(engine), "the catalogue")
            started = self._result("composer/ocrun", {"image": f"conformance.{engine}", "timezone": "Europe/Paris"})
            hold(started["type"] == engine, started)
            name = str(started["container_id"])
            entry: dict[str, Any] = until(lambda: self._listed(name, "Running"), f"{name} runs")
            target = {"podname": entry["podname"], "containerid": name}
        with step(f"{label}: log and environment"):
            until(lambda: APPLICATION_SAYS in str(self._result("composer/logcontainer", target)), "its log")
            environment = self._result("composer/envcontainer", target)
            hold(environment.get("TZ") == "Europe/Paris", environment)
        with step(f"{label}: stopped"):
            self._result("composer/stopcontainer", target)
            until(lambda: not self._listed(name, "Running"), f"{name} has ended")
            if engine == POD:
                until(lambda: not self._pods(POD), "its pod is gone")

    def _operate(self, desktop: dict[str, Any]) -> None:
        name = desktop["metadata"]["name"]
        listed = self._manager("GET", "desktop")
        hold([one["name"] for one in listed] == [name], listed)
        described = self._manager("GET", f"desktop/{name}")
        hold(described["metadata"]["uid"] == desktop["metadata"]["uid"], described["metadata"])

    def _collect(self) -> None:
        self._log_in()
        name = self._launch()["metadata"]["name"]
        hold(self._manager("GET", "garbagecollector?expirein=3600") == [], "a desktop in use was removed")
        removed = until(lambda: self._manager("GET", "garbagecollector?expirein=1"), "the collector removes it", 30)
        hold(removed == [name], removed)
        self._nothing_left()

    # -- helpers -------------------------------------------------------------------------------------------------

    def _nothing_left(self) -> None:
        until(lambda: not self._cluster.pods(self._namespace), "the pods are gone")
        left = self._cluster.secrets(self._namespace, self._user)
        hold(not left, f"secrets left: {[one['metadata']['name'] for one in left]}")

    def _pods(self, kind: str) -> list[dict[str, Any]]:
        return self._cluster.pods(self._namespace, f"access_userid%3D{self._user},type%3D{kind}")

    def _offered(self, engine: str) -> bool:
        return any(one["launch"] == f"conformance.{engine}" for one in self._result("composer/getuserapplist"))

    def _listed(self, name: str, status: str) -> dict[str, Any] | None:
        entries = self._result("composer/listcontainer")
        return next((one for one in entries if (one["id"], one["status"]) == (name, status)), None)

    def _post(self, path: str, body: Any = None) -> Any:
        headers = {"Origin": ORIGIN}
        if self._token:
            headers["ABCAuthorization"] = f"Bearer {self._token}"
        answer = requests.post(
            f"{self._service.url}/API/{path}", json=body or {}, headers=headers, timeout=REQUEST_SECONDS
        )
        return answer.json()

    def _result(self, path: str, body: Any = None) -> Any:
        document = self._post(path, body)
        hold(document.get("status") == 200 and not document.get("error"), f"{path}: {document}")
        return document["result"]

    def _manager(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self._http.request(
            method,
            f"{self._service.url}/API/manager/{path}",
            headers={"X-API-Key": self._service.api_key},
            timeout=REQUEST_SECONDS,
            **arguments,
        )
        hold(answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()
