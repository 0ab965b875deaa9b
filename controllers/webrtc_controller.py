"""``/API/webrtc``: what the browser needs for sound and video (http-api.md 5.7)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any

from oc.errors import BadRequestError
from oc.od.base_controller import BaseController
from oc.web import Call, expose

DEFAULT_TTL = 3600


def turn_server(coturn: Mapping[str, Any], now: float) -> dict[str, str]:
    """A short-lived account of a coturn server (its ``use-auth-secret`` mode). Raises BadRequestError."""
    secret, url, protocol = (coturn.get(key) for key in ("coturn_static_auth_secret", "url", "protocol"))
    if not secret or not url or not protocol:
        raise BadRequestError("no TURN server is configured")
    username = str(int(now) + int(coturn.get("ttl") or DEFAULT_TTL))
    # coturn defines this as HMAC-SHA1.
    digest = hmac.new(str(secret).encode(), username.encode(), hashlib.sha1).digest()
    return {"urls": f"{protocol}:{url}", "username": username, "credential": base64.b64encode(digest).decode()}


class WebRTCController(BaseController):
    """Configuration of peer connections."""

    @expose(auth="user", body=object, empty_body=True, no_cache=True, answer=dict[str, Any])
    def coturn_rtcconfiguration(self, call: Call, body: object) -> dict[str, Any]:
        """The RTCPeerConnection configuration with a TURN account of the caller's own."""
        webrtc = self.settings.webrtc
        servers = [*webrtc.rtc_configuration.get("iceServers", []), turn_server(webrtc.coturn, time.time())]
        return {**webrtc.rtc_configuration, "iceServers": servers}
