"""Issues people report: what Jira is sent, and what its answers become. The server here answers as Jira's REST does."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devstack.service import Service
from oc.errors import ODError, UnavailableError
from oc.od.settings import settings_from_mapping
from oc.od.tracker import IssueTracker
from tests.support import Api

ACCOUNT = {"username": "reporter@example.org", "apikey": "a-key-of-jira-9213", "project_id": "DESK"}
CREATED = (201, json.dumps({"id": "10042", "key": "DESK-12", "self": "http://x/10042"}).encode())


class Jira(http.server.ThreadingHTTPServer):
    """``answer`` is what it says; ``seen`` are path, Authorization and body of what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: tuple[int, bytes] = CREATED
        self.headers: dict[str, str] = {}
        self.seen: list[tuple[str, str, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/jira"

    def tracker(self, **changes: Any) -> IssueTracker:
        jira = {"url": self.url, **ACCOUNT, **changes}
        return IssueTracker(settings_from_mapping({"desktop.pod": {}, "jira": jira}, {}).jira)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Jira

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers["Authorization"], body))
        status, data = self.server.answer
        self.send_response(status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def jira() -> Iterator[Jira]:
    with Jira() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join(5)


def test_an_issue_is_created_as_jira_expects_it(jira: Jira) -> None:
    assert jira.tracker().create("No\r\n sound", "since today") == {"project": "DESK", "id": "10042", "key": "DESK-12"}
    ((path, authorization, body),) = jira.seen
    assert path == "/jira/rest/api/2/issue"
    assert base64.b64decode(authorization.removeprefix("Basic ")).decode() == "reporter@example.org:a-key-of-jira-9213"
    assert body["fields"] == {
        "project": {"key": "DESK"},
        "summary": "No sound",
        "description": "since today",
        "issuetype": {"name": "Bug"},
    }


def test_a_project_is_named_by_its_number_too(jira: Jira) -> None:
    assert jira.tracker(project_id="10000").create("x", "y") == {"project": "10000", "id": "10042", "key": "DESK-12"}
    assert jira.seen[0][2]["fields"]["project"] == {"id": "10000"}


def test_long_texts_are_cut_to_what_jira_takes(jira: Jira) -> None:
    jira.tracker().create("s" * 1000, "d" * 40_000)
    fields = jira.seen[0][2]["fields"]
    assert (len(fields["summary"]), len(fields["description"])) == (255, 32_767)


@pytest.mark.parametrize("missing", ["url", "username", "apikey", "project_id"])
def test_without_one_of_the_four_keys_nobody_is_asked(jira: Jira, missing: str) -> None:
    tracker = jira.tracker(**{missing: None})
    assert not tracker.enabled
    assert tracker.create("x", "y") is None
    assert jira.seen == []


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404])
def test_a_refusal_is_an_error_that_repeats_nothing_jira_says(jira: Jira, status: int) -> None:
    jira.answer = (status, b'{"errorMessages": ["account reporter@example.org is locked"]}')
    jira.headers = {"Location": f"{jira.url}/elsewhere"} if status == 302 else {}
    with pytest.raises(ODError, match="the issue tracker refused the issue") as caught:
        jira.tracker().create("x", "y")
    assert caught.value.status == 500
    assert "reporter" not in f"{caught.value.message} {caught.value.doing}"
    assert len(jira.seen) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"id": 5, "key": null}', b"{" + b" " * 70_000])
def test_an_answer_that_names_no_issue_is_an_error(jira: Jira, body: bytes) -> None:
    jira.answer = (201, body)
    with pytest.raises(ODError, match="refused"):
        jira.tracker().create("x", "y")


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_tracker_in_trouble_is_unavailable(jira: Jira, status: int) -> None:
    jira.answer = (status, b"")
    with pytest.raises(UnavailableError):
        jira.tracker().create("x", "y")


def test_a_tracker_that_is_away_is_unavailable(jira: Jira) -> None:
    tracker = jira.tracker(url="http://127.0.0.1:1")
    with pytest.raises(UnavailableError) as caught:
        tracker.create("x", "y")
    assert "a-key-of-jira" not in f"{caught.value.message} {caught.value.doing}"


def test_the_route_names_the_reporter_and_counts_no_attack_for_the_pages_desktop_token(
    jira: Jira, own_service: Callable[..., Service]
) -> None:
    jira_keys = {"url": jira.url, **ACCOUNT}
    bans = {"enable": True, "failsbeforeban": 2, "protectednetworks": []}
    service = own_service({"jira": jira_keys, "fail2ban": bans})
    report = {"summary": "No sound", "description": "since today", "issue": {"name": "audio"}, "userid": "somebody"}
    with Api(service.url, service.api_key) as api:
        assert api.post("core/getkeyinfo", {"provider": "tracker"}).json() == {"id": True, "callbackurl": None}
        api.login()
        desktop_token = api.result("composer/launchdesktop")["authorization"]
        for token in (None, desktop_token, desktop_token, desktop_token):
            assert api.post("tracker/issue", report, token=token).status_code == 401
        assert api.result("tracker/issue", report)["key"] == "DESK-12"
        assert api.post("tracker/issue", {"description": "no summary"}).status_code == 400
        jira.answer = (403, b"")
        refused = api.post("tracker/issue", report)
        assert (refused.status_code, refused.json()["message"]) == (500, "the issue tracker refused the issue")
        api.post("auth/logout")
    description = jira.seen[0][2]["fields"]["description"]
    assert description.startswith("Kind: audio\nReported by ")
    assert str(api.userid) in description
    assert description.endswith("\n\nsince today")
    assert "somebody" not in description
    assert ACCOUNT["apikey"] not in service.log_path.read_text()


def test_without_a_tracker_the_result_is_null(api: Api) -> None:
    api.login()
    assert api.result("tracker/issue", {"summary": "x"}) is None
