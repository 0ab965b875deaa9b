"""``/API/core``: what pages need before and during a login (http-api.md 5.1, 5.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import NoneType

from controllers.schemas import KeyInfo
from oc.od.base_controller import BaseController
from oc.od.messageinfo import STOP_TEXT
from oc.od.settings import Settings
from oc.web import Call, Content, Success, expose

Source = Callable[[Settings], object]


def _menu(settings: Settings) -> object:
    return {**settings.front.menuconfig, "snapshot": settings.pod.snapshot_enabled}


def _execute_classes(settings: Settings) -> object:
    """Only what the login page shows; resources and node names are nobody's business."""
    if "read" not in settings.desktop.features_permissions:
        return None
    return {name: {"description": cls.description} for name, cls in settings.executeclasses.items()}


#: ``provider`` of getkeyinfo -> the value of ``id``.
KEY_INFO: Mapping[str, Source] = {
    "colors": lambda settings: settings.desktop.defaultbackgroundcolors,
    "menuconfig": _menu,
    "geolocation": lambda settings: settings.front.geolocation,
    "tracker": lambda settings: settings.jira.enabled,
    "zoom": lambda settings: settings.desktop.zoom,
    "tipsinfo": lambda settings: settings.front.tipsinfo,
    "welcomeinfo": lambda settings: settings.front.welcomeinfo,
    "webrtc.enable": lambda settings: settings.webrtc.enable,
    "webrtc.configuration": lambda settings: settings.webrtc.rtc_configuration,
    "webrtc.rtc_constraints": lambda settings: settings.webrtc.rtc_constraints,
    "features_permissions_executeclasses": _execute_classes,
    "imagenotificationconfig": lambda settings: settings.front.imagenotification,
}


def preferred_type(accept: str | None) -> str:
    """``text/plain`` or ``application/json``: the first listed that we offer, JSON when none is."""
    for entry in (accept or "").split(","):
        name = entry.partition(";")[0].strip().lower()
        if name in ("text/plain", "application/json"):
            return name
    return "application/json"


class CoreController(BaseController):
    """Front-end configuration and progress texts."""

    @expose(body=object, empty_body=True, envelope=False, answer=KeyInfo)
    def getkeyinfo(self, call: Call, body: object) -> object:
        """One piece of front-end configuration by name; ``id`` is null for a name that is not known."""
        provider = body.get("provider") if isinstance(body, dict) else None
        if not isinstance(provider, str):
            return {}
        source = KEY_INFO.get(provider)
        return {"id": source(self.settings) if source else None, "callbackurl": None}

    @expose(auth="user", body=object, empty_body=True, answer=NoneType, content=("text/plain",))
    def getmessageinfo(self, call: Call, body: object) -> Content | Success:
        """The latest progress text of the caller's login or launch, handed out once."""
        text = self.services.messageinfo.popflush(call.identity.userid)
        if preferred_type(call.headers.get("Accept")) == "text/plain":
            return Content(f"{text or ''}\n", headers={"Cache-Control": "no-cache, private"})
        # The page would show the end mark as a message.
        return Success(None, message=None if text == STOP_TEXT else text)
