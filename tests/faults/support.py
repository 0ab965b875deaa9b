"""Faults on order, and what an answer must be when one strikes."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any

import requests

from ..od.orchestrator.support import ClusterAdmin
from ..support import Api

PYOS = "system:serviceaccount:abcdesktop:pyos-serviceaccount"
LAUNCH = "composer/launchdesktop"
INTERNAL = re.compile(
    r"Traceback|urllib3|HTTPSConnection|127\.0\.0\.1|0x[0-9a-f]{6}|serviceaccount|/api/v1|resourceVersion"
)


@dataclass(frozen=True)
class Call:
    """One kind of call that an operation makes; of several, the one after ``before`` others."""

    verb: str
    resource: str
    before: int = 0

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f" no {self.before + 1}" if self.before else "")


@dataclass(frozen=True)
class Trouble:
    """What goes wrong with a call."""

    name: str
    rule: dict[str, Any] = field(hash=False)

    def __str__(self) -> str:
        return self.name


CONFLICT = Trouble("409", {"status": 409})
NOT_FOUND = Trouble("404", {"status": 404})
GONE = Trouble("410", {"status": 410})
TOO_MANY = Trouble("429", {"status": 429, "retry_after_s": 1})
BROKEN = Trouble("500", {"status": 500})
AWAY = Trouble("503", {"status": 503})
UNHEARD = Trouble("no answer, nothing done", {"drop": True})
UNANSWERED = Trouble("no answer, but done", {"drop": True, "after": True})
LATE_ERROR = Trouble("500, but done", {"status": 500, "after": True})

TROUBLES = (CONFLICT, NOT_FOUND, GONE, TOO_MANY, BROKEN, AWAY, UNHEARD, UNANSWERED, LATE_ERROR)
PASSING = (TOO_MANY, BROKEN, AWAY, UNHEARD, UNANSWERED, LATE_ERROR)
"""Those that another try mends."""


def strike(admin: ClusterAdmin, call: Call, trouble: Trouble, count: int | None = 1) -> None:
    """Order the fault for the next ``count`` calls of pyos, None: for all."""
    if call.before:
        admin.fault(verb=call.verb, resource=call.resource, user=PYOS, count=call.before)
    admin.fault(verb=call.verb, resource=call.resource, user=PYOS, count=count, **trouble.rule)


def struck(admin: ClusterAdmin) -> bool:
    """Whether every fault that was ordered for a number of calls has come."""
    return all(rule["count"] == 0 for rule in admin.devstack("GET", "faults")["rules"])


@dataclass(frozen=True)
class Answer:
    """An answer of pyos: ``result``, or the text the user gets."""

    status: int
    result: Any
    message: str

    @property
    def good(self) -> bool:
        return self.status == 200


def ask(api: Api, path: str, body: Any = None) -> Answer:
    """POST; the answer must be a success, or a clear refusal: a known status, a text for people, nothing internal."""
    return read(api.post(path, body))


def read(response: requests.Response) -> Answer:
    document = response.json()
    status = document["status"]
    if response.status_code == 200 and status == 200:
        return Answer(200, document["result"], "")
    message = document.get("error") or document["message"]
    assert response.status_code in (200, status), response.text
    # a login whose secrets cannot be written is refused with 401 (spec auth.md 2)
    assert status in (400, 401, 404, 500, 503), response.text
    assert status != 401 or "failed to prepare" in message, response.text
    assert len(message) > 10, response.text
    assert not INTERNAL.search(message), message
    return Answer(status, None, message)


def password_of(admin: ClusterAdmin, pod: dict[str, Any]) -> str:
    """The VNC password in the secret that the pod mounts."""
    names = {volume.get("secret", {}).get("secretName") for volume in pod["spec"]["volumes"]}
    user = pod["metadata"]["labels"]["access_userid"]
    (secret,) = [
        one
        for one in admin.secrets(user)
        if one["metadata"]["name"] in names and one["metadata"]["labels"]["access_type"] == "vnc"
    ]
    return base64.b64decode(secret["data"]["password"]).decode()


def one_desktop(admin: ClusterAdmin, userid: str, answers: list[Answer]) -> dict[str, Any]:
    """Check that the user has one desktop, that it runs, and that all good answers are about it."""
    (pod,) = admin.pods(userid)
    assert pod["status"]["phase"] == "Running"
    assert {answer.result["vncpassword"] for answer in answers if answer.good} <= {password_of(admin, pod)}
    return pod  # type: ignore[no-any-return]
