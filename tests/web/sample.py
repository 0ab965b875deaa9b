"""A controller that shows each feature of ``expose``."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from oc.errors import (
    AuthenticationDeniedError,
    BadRequestError,
    ConflictError,
    ODAPIError,
    ODError,
    ODResourceNotFoundError,
    UnavailableError,
)
from oc.od.base_controller import BaseController
from oc.web import Bare, Call, Content, SoftError, Success, expose

ERRORS: dict[str, Exception] = {
    "domain": ODError("the domain says no"),
    "bad": BadRequestError("bad parameter"),
    "missing": ODResourceNotFoundError("no such desktop"),
    "denied": AuthenticationDeniedError(),
    "conflict": ConflictError(),
    "kubernetes": ODAPIError("pods is forbidden", status=403),
    "away": UnavailableError("the database is away", retry_after=7),
    "vendor": ODError("duplicate key", status=85),
    "bug": RuntimeError("secret detail /var/lib/password=hunter2"),
    "type": TypeError("'NoneType' object is not subscriptable"),
}


class Run(msgspec.Struct):
    image: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    args: str | None = None


class Options(msgspec.Struct):
    app: str | None = None


class SampleController(BaseController):
    @expose(body=dict)
    def echo(self, call: Call, body: dict[str, Any]) -> object:
        """Give the body back."""
        return body

    @expose(body=Run)
    def run(self, call: Call, body: Run) -> object:
        return {"image": body.image, "args": body.args}

    @expose(body=Options)
    def options(self, call: Call, body: Options) -> object:
        return body.app

    @expose(body=object, envelope=False)
    def anything(self, call: Call, body: object) -> object:
        return body

    @expose(body=dict, empty_body=False)
    def strict(self, call: Call, body: dict[str, Any]) -> object:
        return body

    @expose(body=object, max_body=16 * 1024 * 1024, envelope=False)
    def large(self, call: Call, body: Any) -> object:
        return len(body)

    @expose()
    def nothing(self, call: Call) -> object:
        """No body is read."""
        return None

    @expose(methods=("GET", "PUT"), body=dict, envelope=False)
    def both(self, call: Call, body: dict[str, Any]) -> object:
        return body

    @expose(path="thing/{name}", methods=("GET",), envelope=False)
    def get_thing(self, call: Call, *, name: str) -> object:
        return {"got": name}

    @expose(path="thing/{name}", methods=("DELETE",), envelope=False)
    def delete_thing(self, call: Call, *, name: str) -> object:
        return {"deleted": name}

    @expose(path="thing/{name}/part/{part}", methods=("GET",), envelope=False)
    def part(self, call: Call, *, name: str, part: str) -> object:
        return [name, part]

    @expose(path="thing/special", methods=("GET",), envelope=False)
    def special(self, call: Call) -> object:
        return "special"

    @expose(path="image/{image_id*}", methods=("GET",), envelope=False)
    def image(self, call: Call, *, image_id: str) -> object:
        return image_id

    @expose(methods=("GET",), envelope=False)
    def client(self, call: Call) -> object:
        return {
            "ip": call.client.ipaddr,
            "os": call.client.os_family,
            "locale": call.client.locale,
            "host": call.client.host,
            "origin": call.client.origin,
            "query": call.query,
            "flag": call.flag("force"),
        }

    @expose(path="raise/{name}", methods=("GET",))
    def fail(self, call: Call, *, name: str) -> object:
        raise ERRORS[name]

    @expose(methods=("GET",))
    def soft(self, call: Call) -> object:
        return SoftError("the desktop could not be created")

    @expose(methods=("GET",))
    def message(self, call: Call) -> object:
        return Success({"url": "/"}, "a.you are logged in")

    @expose(methods=("GET",))
    def bare(self, call: Call) -> object:
        return Bare([1, 2], {"X-Extra": "yes"})

    @expose(methods=("GET",))
    def content(self, call: Call) -> object:
        return Content("token", content_type="application/jwt", status=201, headers={"X-Extra": "yes"})

    @expose(methods=("GET",), no_cache=True)
    def fresh(self, call: Call) -> object:
        call.response_headers["X-More"] = "1"
        return msgspec.Raw(b'{"ready":true}')

    @expose(methods=("GET",), envelope=False)
    def unencodable(self, call: Call) -> object:
        return object()

    @expose(auth="user", body=dict)
    def mine(self, call: Call, body: dict[str, Any]) -> object:
        return call.identity.userid

    @expose(auth="optional", body=dict)
    def maybe(self, call: Call, body: dict[str, Any]) -> object:
        return call.optional_identity.userid if call.optional_identity else None

    @expose(auth="login", body=dict)
    def enter(self, call: Call, body: dict[str, Any]) -> object:
        return "welcome"

    @expose(body=dict, trace=False)
    def quiet(self, call: Call, body: dict[str, Any]) -> object:
        return body

    def helper(self) -> str:
        return "never a route"
