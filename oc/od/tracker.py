"""Issues people report, handed to Jira (http-api.md 5.8; its REST interface, version 2, "create issue")."""

from __future__ import annotations

import logging
from typing import Final

import msgspec
import requests
from requests.auth import HTTPBasicAuth

from oc.errors import ODError, UnavailableError
from oc.od.settings.others import JiraSettings

logger = logging.getLogger(__name__)

SECONDS: Final = 10.0
MAX_ANSWER: Final = 64 * 1024
MAX_SUMMARY: Final = 255  # Jira refuses more, and refuses line ends
MAX_DESCRIPTION: Final = 32_767
ISSUE_TYPE: Final = "Bug"


class Issue(msgspec.Struct):
    """What Jira answers about a new issue. id: a number as text; key: project and number, as in ``DESK-12``."""

    id: str
    key: str


class IssueTracker:
    """Creates issues in the configured project. Thread-safe."""

    def __init__(self, settings: JiraSettings) -> None:
        self._settings = settings

    @property
    def enabled(self) -> bool:
        """Whether there is a tracker."""
        return self._settings.enabled

    def create(self, summary: str, description: str) -> dict[str, str] | None:
        """File a bug: ``project``, ``id`` and ``key`` of the new issue, None where no tracker is configured.

        It is sent once: an answer that is lost may have left an issue. Raises UnavailableError when the tracker is
        away, ODError when it refuses.
        """
        settings = self._settings
        if not (settings.url and settings.username and settings.apikey and settings.project_id):
            return None
        fields = {
            "project": {"id" if settings.project_id.isdecimal() else "key": settings.project_id},
            "summary": " ".join(summary.split())[:MAX_SUMMARY],
            "description": description[:MAX_DESCRIPTION],
            "issuetype": {"name": ISSUE_TYPE},
        }
        try:
            with requests.post(
                f"{settings.url.rstrip('/')}/rest/api/2/issue",
                json={"fields": fields},
                auth=HTTPBasicAuth(settings.username.encode(), settings.apikey.encode()),
                timeout=SECONDS,
                stream=True,
                allow_redirects=False,
            ) as response:
                body = response.raw.read(MAX_ANSWER, decode_content=True)
                status = response.status_code
        except (requests.RequestException, OSError) as error:
            raise _away(type(error).__name__) from error
        if status >= 500:
            raise _away(f"status {status}")
        return {"project": settings.project_id, **_created(status, body)}


def _created(status: int, body: bytes) -> dict[str, str]:
    """The new issue. Raises ODError; what Jira says stays out of the answer and the log: it may name accounts."""
    try:
        if status == 201:
            issue = msgspec.json.decode(body, type=Issue)
            return {"id": issue.id, "key": issue.key}
    except msgspec.MsgspecError as error:
        logger.warning("the issue tracker answers what is no issue: %s", type(error).__name__)
    raise ODError("the issue tracker refused the issue", doing=f"create an issue: status {status}")


def _away(reason: str) -> UnavailableError:
    return UnavailableError("the issue tracker does not answer", doing=f"create an issue: {reason}")
