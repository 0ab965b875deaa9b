"""One whole session against a running pyos, step by step, as the web front end does it.

Used by ``make run`` to show the product at work: every step says what was asked, what came back (tokens shortened),
how long it took, and the pods and containers that came to life.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

SAMPLES = Path(__file__).with_name("samples") / "applications.json"
ORIGIN = "http://localhost:30443"
_SHORTEN = ("jwt_user_token", "authorization", "vncpassword", "icondata")
_POLL_SECONDS = 0.3
_WAIT_SECONDS = 30.0


class StepFailedError(Exception):
    """A step of the session did not hold; the text says what was expected and what came."""


def shorten(value: Any) -> Any:
    """A copy of a JSON value with tokens, passwords and long texts cut."""
    if isinstance(value, dict):
        return {key: _cut(item, 12) if key in _SHORTEN else shorten(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shorten(item) for item in value[:3]] + ([f"... {len(value) - 3} more"] if len(value) > 3 else [])
    return _cut(value, 80)


def _cut(value: Any, length: int) -> Any:
    return f"{value[:length]}..." if isinstance(value, str) and len(value) > length else value


class Session:
    """The steps. ``say`` prints one line; ``pods`` gives the pods of the namespace as the cluster has them."""

    def __init__(
        self, url: str, api_key: str, pods: Callable[[], list[dict[str, Any]]], say: Callable[[str], None] = print
    ) -> None:
        self._url = url
        self._api_key = api_key
        self._pods = pods
        self._say = say
        self._http = requests.Session()
        self._token: str | None = None
        self._step = 0

    def run(self) -> None:
        """Do the whole session. Raises StepFailedError at the first step that does not hold."""
        with self._shown("The front end asks who can log in", "POST /API/auth/getauthconfig") as show:
            managers = self._post("auth/getauthconfig", {})["managers"]
            providers = {m["name"]: [p["name"] for p in m.get("providers", [])] for m in managers}
            show(providers)
            _hold("anonymous" in providers.get("implicit", []), providers)
        self._log_in()
        self._register()
        self._launch()
        applications = self._applications()
        self._run("ephemeral container", applications["clock.clock"], "ephemeral_container")
        podname, containerid = self._run("pod", applications["notes.notes"], "pod_application")
        self._stop(podname, containerid)
        self._refresh()
        self._log_out()

    def _log_in(self) -> None:
        body: dict[str, Any] = {
            "manager": None,
            "provider": "anonymous",
            "utctimestamp": int(time.time() * 1000),
            "geolocation": {},
        }
        with self._shown("Somebody logs in without a name", "POST /API/auth/auth", body) as show:
            answer = show(self._post("auth/auth", body))
            self._token = answer["result"]["jwt_user_token"]
        with self._shown("Who am I?", "POST /API/user/whoami") as show:
            answer = show(self._post("user/whoami", {}))
            _hold(answer["provider"] == "anonymous" and answer["userid"], answer)

    def _register(self) -> None:
        documents = json.loads(SAMPLES.read_text(encoding="utf-8"))
        with self._shown("An operator registers two applications", "POST /API/manager/image  (X-API-Key)") as show:
            answer = self._post("manager/image", documents, {"X-API-Key": self._api_key})
            show([{key: record[key] for key in ("id", "displayname", "containerengine")} for record in answer])
            _hold([r["id"] for r in answer] == [d["RepoTags"][0] for d in documents], answer)

    def _launch(self) -> None:
        body = {"width": 1440, "height": 819, "hostname": "localhost", "timezone": "Europe/Paris", "args": None}
        with self._shown("The desktop is launched", "POST /API/composer/launchdesktop", body) as show:
            with self._progress():
                answer = self._post("composer/launchdesktop", body)
            show(answer)
            result = answer.get("result") or {}
            _hold(all(result.get(key) for key in ("target_ip", "vncpassword", "authorization")), answer)
        self._show_pods()

    @contextmanager
    def _progress(self) -> Iterator[None]:
        """Poll the progress texts as the front end does, and print each."""
        over = threading.Event()

        def poll() -> None:
            with requests.Session() as http:
                while not over.wait(_POLL_SECONDS):
                    self._say_progress(http)

        thread = threading.Thread(target=poll, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(5)

    def _say_progress(self, http: requests.Session) -> None:
        headers = {"ABCAuthorization": f"Bearer {self._token}"}
        answer = http.post(f"{self._url}/API/core/getmessageinfo", json={}, headers=headers, timeout=10)
        text = answer.json().get("message") if answer.ok else None
        if text:
            self._say(f"        | {text}")

    def _applications(self) -> dict[str, dict[str, Any]]:
        with self._shown("What may this user start?", "POST /API/composer/getuserapplist") as show:
            answer = self._post("composer/getuserapplist", {})
            found = {entry["launch"]: entry for entry in answer["result"]}
            show({entry["launch"]: entry["displayname"] for entry in answer["result"]})
            _hold({"clock.clock", "notes.notes"} <= found.keys(), found.keys())
        return found

    def _run(self, kind: str, application: dict[str, Any], expected: str) -> tuple[str, str]:
        body = {"image": application["id"], "args": "", "timezone": "Europe/Paris"}
        title = f"{application['displayname']} is started as {kind}"
        with self._shown(title, "POST /API/composer/ocrun", body) as show:
            answer = show(self._post("composer/ocrun", body))
            _hold(answer["result"]["type"] == expected, answer)
            containerid = str(answer["result"]["container_id"])
        with self._shown("It is listed as running", "POST /API/composer/listcontainer") as show:
            entry = self._until(lambda: self._listed(containerid, "Running"), "the application is not running")
            show({key: entry[key] for key in ("podname", "id", "status", "type", "image")})
        self._show_pods()
        return str(entry["podname"]), containerid

    def _listed(self, containerid: str, status: str | None) -> dict[str, Any] | None:
        for entry in self._post("composer/listcontainer", {})["result"]:
            if entry["id"] == containerid and status in (None, entry["status"]):
                return dict(entry)
        return None

    def _stop(self, podname: str, containerid: str) -> None:
        body = {"podname": podname, "containerid": containerid}
        with self._shown("The pod application is stopped", "POST /API/composer/stopcontainer", body) as show:
            show(self._post("composer/stopcontainer", body))
            self._until(lambda: self._listed(containerid, "Running") is None, "the application still runs")

    def _refresh(self) -> None:
        with self._shown("Both tokens are refreshed", "POST /API/auth/refreshtoken") as show:
            self._token = show(self._post("auth/refreshtoken", {}))["result"]["jwt_user_token"]
            show(self._post("composer/refreshdesktoptoken", {"app": None}))

    def _log_out(self) -> None:
        with self._shown("The user logs out, the desktop is removed", "POST /API/auth/logout") as show:
            answer = show(self._post("auth/logout", {}))
            _hold(answer.get("result") == {"url": "/"} and answer["status"] == 200, answer)
            self._until(lambda: not self._pods(), "pods are left in the namespace")
        self._show_pods()

    def _post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
        sent = {"Origin": ORIGIN, **(headers or {})}
        if self._token and headers is None:
            sent["ABCAuthorization"] = f"Bearer {self._token}"
        answer = self._http.post(f"{self._url}/API/{path}", json=body, headers=sent, timeout=320)
        if answer.status_code != 200:
            raise StepFailedError(f"{path}: HTTP {answer.status_code}: {answer.text[:500]}")
        value = answer.json()
        if isinstance(value, dict) and value.get("error"):
            raise StepFailedError(f"{path}: {value['error']}")
        return value

    @contextmanager
    def _shown(self, title: str, request: str, body: Any = None) -> Iterator[Callable[[Any], Any]]:
        self._step += 1
        self._say(f"\n{self._step:>3}. {title}\n     -> {request}")
        if body is not None:
            self._say(f"        {json.dumps(shorten(body))}")
        started = time.perf_counter()

        def show(value: Any) -> Any:
            took = (time.perf_counter() - started) * 1000
            self._say(f"     <- {json.dumps(shorten(value))}  [{took:.0f} ms]")
            return value

        yield show

    def _until(self, found: Callable[[], Any], problem: str) -> Any:
        end = time.monotonic() + _WAIT_SECONDS
        while not (value := found()):
            if time.monotonic() > end:
                raise StepFailedError(problem)
            time.sleep(0.1)
        return value

    def _show_pods(self) -> None:
        pods = self._pods()
        if not pods:
            self._say("        no pods in the namespace")
        for pod in pods:
            status = pod.get("status", {})
            self._say(f"        pod {pod['metadata']['name']}  {status.get('phase')}  {status.get('podIP', '')}")
            for group in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
                for container in status.get(group, []):
                    state = next(iter(container.get("state") or {"waiting": {}}))
                    kind = {
                        "initContainerStatuses": "init",
                        "containerStatuses": "",
                        "ephemeralContainerStatuses": "app",
                    }
                    self._say(f"          {kind[group]:>4} {container['name']:<32} {state:<10} {container['image']}")


def _hold(condition: object, answer: object) -> None:
    if not condition:
        raise StepFailedError(f"unexpected answer: {answer!r:.500}")
