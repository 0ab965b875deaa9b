"""``/API/manager/image(s)`` and ``buildapplist``: the application catalogue (http-api.md 4.3)."""

from __future__ import annotations

from typing import Any

import msgspec

from controllers.schemas import Catalogue
from oc.od.apps import admin
from oc.od.base_controller import BaseController
from oc.web import Call, Query, expose
from oc.web.exposing import LARGE_MAX_BODY


class ImageRoutes(BaseController):
    """Mixed into the ManagerController."""

    def _whole(self, call: Call, refresh: bool = False) -> object:
        text, call.response_headers["ETag"] = admin.list_images_json(self.services.apps, refresh)
        return msgspec.Raw(text)

    @expose(methods=("GET",), auth="manager", envelope=False, trace=False, lane="work", answer=Catalogue, tagged=True)
    def buildapplist(self, call: Call) -> object:
        """Read the database; the whole catalogue by id."""
        return self._whole(call, refresh=True)

    @expose(path="images", methods=("GET",), auth="manager", envelope=False, trace=False, answer=Catalogue, tagged=True)
    def get_images(self, call: Call) -> object:
        """The whole catalogue by id."""
        return self._whole(call)

    @expose(path="images", methods=("DELETE",), auth="manager", envelope=False, trace=False)
    def delete_images(self, call: Call) -> list[str]:
        """Remove every application; their ids."""
        return admin.delete_images(self.services.apps)

    @expose(path="image", methods=("GET",), auth="manager", envelope=False, trace=False, answer=Catalogue, tagged=True)
    def get_image_list(self, call: Call) -> object:
        """The whole catalogue by id."""
        return self._whole(call)

    @expose(
        path="image",
        methods=("POST",),
        auth="manager",
        body=object,
        max_body=LARGE_MAX_BODY,
        envelope=False,
        trace=False,
        lane="work",
        answer=dict[str, Any] | list[dict[str, Any]],
    )
    def post_image(self, call: Call, body: object) -> object:
        """Register an image description, or a list of them."""
        return admin.post_images(self.services.apps, body)

    @expose(
        path="image",
        methods=("PUT",),
        auth="manager",
        body=object,
        max_body=LARGE_MAX_BODY,
        envelope=False,
        trace=False,
        lane="work",
        answer=dict[str, Any] | list[dict[str, Any]],
        query=(Query("node", str, "pull on this node only"),),
    )
    def put_image(self, call: Call, body: object) -> object:
        """As POST; each record says in ``pulling`` whether the image is being pulled (``?node=`` names where)."""
        return admin.put_images(self.services.apps, body, call.query.get("node"), self.services.prefetch)

    @expose(
        path="image", methods=("PATCH",), auth="manager", envelope=False, trace=False, lane="work", answer=Catalogue
    )
    def refresh_images(self, call: Call) -> object:
        """Read the database; the whole catalogue by id."""
        return self._whole(call, refresh=True)

    @expose(path="image/{image_id*}", methods=("GET",), auth="manager", envelope=False, trace=False)
    def get_image(self, call: Call, *, image_id: str) -> dict[str, Any]:
        """One application by id, digest or unique name."""
        return admin.get_image(self.services.apps, image_id)

    @expose(
        path="image/{image_id*}",
        methods=("PATCH",),
        auth="manager",
        body=object,
        max_body=LARGE_MAX_BODY,
        envelope=False,
        trace=False,
    )
    def patch_image(self, call: Call, body: object, *, image_id: str) -> dict[str, Any]:
        """Replace one application."""
        return admin.patch_image(self.services.apps, image_id, body)

    @expose(path="image/{image_id*}", methods=("DELETE",), auth="manager", envelope=False, trace=False)
    def delete_image(self, call: Call, *, image_id: str) -> list[str]:
        """Remove one application."""
        return admin.delete_image(self.services.apps, image_id)
