"""``/API/tracker``: people report problems (http-api.md 5.8)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from controllers.schemas import ReportedIssue
from oc.od.base_controller import BaseController
from oc.od.tracker import MAX_DESCRIPTION
from oc.web import Call, expose


class IssueKind(msgspec.Struct):
    """The page's choice of what sort of problem it is."""

    name: Annotated[str, msgspec.Meta(max_length=256)] = ""


class IssueRequest(msgspec.Struct):
    """What pages add about themselves is not read: nobody asked the user whether the tracker may have it."""

    summary: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    description: Annotated[str, msgspec.Meta(max_length=MAX_DESCRIPTION)] = ""
    issue: IssueKind | None = None


class TrackerController(BaseController):
    """The tracker is configured by ``jira`` in od.config."""

    # Not "user": the page sends its desktop token here, which is refused but must not count as an attack.
    @expose(auth="optional", body=IssueRequest, lane="work", answer=ReportedIssue | None)
    def issue(self, call: Call, body: IssueRequest) -> object:
        """File a bug in the tracker; null where none is configured."""
        identity = call.identity
        reporter = f"Reported by {identity.name or identity.userid} ({identity.provider}: {identity.userid})"
        kind = [f"Kind: {body.issue.name}"] if body.issue is not None and body.issue.name else []
        return self.services.tracker.create(body.summary, "\n".join([*kind, reporter, "", body.description]))
