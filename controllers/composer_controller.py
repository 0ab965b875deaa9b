"""``/API/composer``: a user's desktop and applications (spec http-api.md 3)."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import msgspec

from controllers.schemas import (
    AnnouncedApplication,
    ApplicationInstance,
    DesktopConnection,
    DesktopToken,
    RunningApplication,
    UserApplication,
)
from oc.errors import ODResourceNotFoundError
from oc.od.base_controller import BaseController
from oc.od.composer.connection import target_host
from oc.od.composer.timezones import valid_timezone
from oc.od.orchestrator import Desktop, LaunchFailedError
from oc.web import Call, SoftError, expose

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
NOT_CACHED = {"Cache-Control": "no-cache, private", "X-Content-Type-Options": "nosniff"}


class RunRequest(msgspec.Struct):
    """``ocrun``: what to start, the file or URL to open with it, and the browser's time zone."""

    image: Text
    args: Annotated[str, msgspec.Meta(max_length=8192)] | None = None
    timezone: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class ContainerRequest(msgspec.Struct):
    """One application: ``podname`` and ``id`` of a ``listcontainer`` entry."""

    podname: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    containerid: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]


class PhaseRequest(msgspec.Struct):
    """``list_applications_by_phase``: one phase."""

    phase: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]


class ComposerController(BaseController):
    """Desktop and applications of the caller."""

    @expose(auth="user", body=dict, lane="launch", no_cache=True, answer=DesktopConnection)
    def launchdesktop(self, call: Call, body: dict[str, Any]) -> object:
        """Resume the caller's desktop or create one, and tell the browser how to reach it."""
        client = dataclasses.replace(call.client, timezone=valid_timezone(body.get("timezone")))
        try:
            desktop = self.services.composer.open_desktop(call.identity, client)
        except LaunchFailedError as error:
            self.logger.warning("launch failed: %s", error.message)
            return SoftError(error.message)
        routing = desktop.websocketrouting or self.services.settings.http.websocketrouting
        tokens = self.services.jwtdesktop
        return {
            "target_ip": target_host(
                routing, client, self.services.settings.http.default_host_url, desktop.websocketroute
            ),
            "vncpassword": desktop.vnc_password,
            "authorization": tokens.issue(_target(desktop)),
            "websocketrouting": routing,
            "websockettcpport": self.services.settings.pod.graphical_port,
            "expire_in": tokens.expire_in,
        }

    @expose(auth="user", body=dict, answer=DesktopToken)
    def refreshdesktoptoken(self, call: Call, body: dict[str, Any]) -> object:
        """Issue a new desktop token for the running desktop."""
        desktop = self.services.composer.find_desktop(call.identity)
        if desktop is None:
            raise ODResourceNotFoundError("desktop not found")
        tokens = self.services.jwtdesktop
        call.response_headers.update(NOT_CACHED)
        return {"authorization": tokens.issue(_target(desktop)), "expire_in": tokens.expire_in}

    @expose(auth="user", body=RunRequest, lane="launch", answer=ApplicationInstance)
    def ocrun(self, call: Call, body: RunRequest) -> object:
        """Start an application in the caller's desktop."""
        return self.services.composer.applications.run(
            call.identity, call.client, body.image, body.args or "", valid_timezone(body.timezone)
        )

    @expose(auth="user", body=dict, answer=list[UserApplication], tagged=True)
    def getuserapplist(self, call: Call, body: dict[str, Any]) -> object:
        """List the applications the caller may start."""
        call.notrace = True  # more than a megabyte, the same for everybody
        text, call.response_headers["ETag"] = self.services.composer.user_applications_json(call.identity)
        return msgspec.Raw(text)

    @expose(auth="user", body=dict, answer=list[UserApplication], tagged=True)
    def getapplist(self, call: Call, body: dict[str, Any]) -> object:
        """Another name of ``getuserapplist``."""
        return self.getuserapplist(call, body)

    @expose(auth="user", body=dict, answer=list[RunningApplication])
    def listcontainer(self, call: Call, body: dict[str, Any]) -> object:
        """List the applications of the caller's desktop."""
        return self.services.composer.applications.running(call.identity)

    @expose(auth="user", body=PhaseRequest, envelope=False, answer=list[AnnouncedApplication])
    def list_applications_by_phase(self, call: Call, body: PhaseRequest) -> object:
        """List the applications of the caller's desktop that are in one phase."""
        return self.services.composer.applications.by_phase(call.identity, body.phase)

    @expose(auth="user", body=ContainerRequest, lane="work", answer=str)
    def logcontainer(self, call: Call, body: ContainerRequest) -> object:
        """The log of one application."""
        return self.services.composer.applications.log(call.identity, body.podname, body.containerid)

    @expose(auth="user", body=ContainerRequest, answer=dict[str, str | None])
    def envcontainer(self, call: Call, body: ContainerRequest) -> object:
        """The declared environment of one application."""
        return self.services.composer.applications.env(call.identity, body.podname, body.containerid)

    @expose(auth="user", body=ContainerRequest, lane="work", answer=bool)
    def stopcontainer(self, call: Call, body: ContainerRequest) -> object:
        """Stop one application."""
        return self.services.composer.applications.stop(call.identity, body.podname, body.containerid)

    @expose(auth="user", body=ContainerRequest, lane="work", answer=bool)
    def removecontainer(self, call: Call, body: ContainerRequest) -> object:
        """Remove one application: the same as stopping it."""
        return self.services.composer.applications.remove(call.identity, body.podname, body.containerid)

    @expose(auth="user", body=dict, lane="work", answer=str)
    def getlogs(self, call: Call, body: dict[str, Any]) -> object:
        """The log of the caller's desktop."""
        return self.services.composer.desktop_log(call.identity)

    @expose(auth="user", body=dict, answer=dict[str, Any])
    def getdesktopdescription(self, call: Call, body: dict[str, Any]) -> object:
        """Addresses of the caller's desktop, where the configuration allows to ask."""
        return self.services.composer.describe_desktop(call.identity, call.client)

    @expose(auth="user", body=dict, answer=list[str])
    def listsecrets(self, call: Call, body: dict[str, Any]) -> object:
        """The types of the caller's non-empty secrets."""
        return self.services.composer.secret_types(call.identity)


def _target(desktop: Desktop) -> str:
    """What the router connects to. Raises BadRequestError-like 400 when the desktop has no address yet."""
    if not desktop.internaluri:
        raise ODResourceNotFoundError("the desktop has no address yet", status=400)
    return desktop.internaluri
