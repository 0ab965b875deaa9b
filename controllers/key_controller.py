"""``/API/key``: one-shot RSA keys (http-api.md 5.6)."""

from __future__ import annotations

from typing import Literal

from oc.errors import BadRequestError
from oc.od.base_controller import BaseController
from oc.od.keymanager import LENGTHS
from oc.web import Call, Content, Query, expose


class KeyController(BaseController):
    """Guarded by the controller policy: making keys costs processor time."""

    @expose(
        methods=("GET",),
        auth="manager",
        trace=False,
        no_cache=True,
        lane="work",
        json=False,
        content=("application/jwt",),
        query=(Query("length", Literal[2048, 3072, 4096], "bits of the key"), Query("format", str, "ignored")),
    )
    def key(self, call: Call) -> Content:
        """A new public key in a signed token; ``?length=2048|3072|4096``."""
        text = call.query.get("length", str(LENGTHS[0]))
        if not text.isascii() or not text.isdigit() or len(text) > 5:
            raise BadRequestError("length must be a number")
        return Content(self.services.keymanager.create(int(text)), content_type="application/jwt")
