"""The HTTP layer: everything between the socket and a controller's method.

How to write a controller
-------------------------
A class ``FooController`` in ``controllers/foo_controller.py`` is found at boot, constructed with its entry of the
``controllers`` key of od.config (a ``ControllerPolicy`` or None) and mounted at ``/API/foo``. It extends
``oc.od.base_controller.BaseController``, which gives it ``self.services`` (the service container), ``self.policy`` and
``self.logger``. Only methods marked with ``expose`` are routes::

    class RunRequest(msgspec.Struct):
        image: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
        args: Annotated[str, msgspec.Meta(max_length=4096)] = ""

    class ComposerController(BaseController):
        @expose(auth="user", body=RunRequest, lane="launch")
        def ocrun(self, call: Call, body: RunRequest) -> object:
            '''First line: the summary in the API document.'''
            return self.services.composer.run_application(call.identity, call.client, body.image, body.args)

        @expose(path="desktop/{name}/container/{cid}", methods=("GET", "DELETE"), envelope=False)
        def container(self, call: Call, *, name: str, cid: str) -> object: ...

Arguments of ``expose``
    path      below the controller, default the method's name; ``{x}`` is one segment, ``{x*}`` the rest joined by /.
              The same path may be exposed by several methods of the class with different HTTP methods.
    methods   default ``("POST",)``; HEAD comes with GET. Anything else is 405 with ``Allow``.
    auth      ``"none"``: open. ``"login"``: no token, but a banned or spoofed address is refused (401).
              ``"user"`` (needs a valid user token: ``call.identity``), ``"optional"``
              (``call.optional_identity`` is None without a valid token). The controller's policy (address, API key,
              403.x) comes first, on every route of a controller that has one; ``"manager"`` is ``"none"`` for a
              controller that must have a policy.
    body      None: no body is read, no type or length is required. ``dict``: any JSON object. A msgspec.Struct: decoded
              and validated, unknown keys ignored, anything wrong is 400. ``object``: any JSON value.
    empty_body  whether an absent or empty body stands for ``{}``; default: yes for ``dict`` and for Structs without a
              required field. Otherwise 411 without a length, 400 when empty.
    max_body  bytes, default 2 MiB; more is 413.
    form      True also takes ``application/x-www-form-urlencoded``, which any site can send: use it with care.
    envelope  True (default): ``{"status": 200, "result": value, "message": "ok"}``; False: the value itself.
    trace     False keeps request and response out of the trace log.
    no_cache  True adds ``Cache-Control: no-cache, private`` (routes that answer tokens or the user's own data).
    answer    the type of the JSON value, for the API document; default: the return annotation.
    query     ``Query`` objects that describe the query parameters in the API document.
    content   content types of answers that are not JSON; ``json=False`` when none is.
    tagged    True says in the API document that the answer has an entity tag (``call.response_headers["ETag"]``).
              Whatever sets one on a GET is answered 304 when ``If-None-Match`` names it.
    lane      ``"launch"``, ``"login"`` or ``"work"``: a bounded lane for requests that may take seconds or minutes, so
              that they never take the threads of short requests. A full lane answers 503 with ``Retry-After``.

A handler gets ``call`` (oc.web.call.Call: ``client``, ``identity``, ``headers``, ``query``, ``response_headers`` ...),
then ``body`` when the route has one, then the path parameters by keyword. It returns

    a plain value (anything msgspec encodes: dict, list, str, Struct, datetime, ``msgspec.Raw`` for ready JSON);
    ``Success(result, message="...")`` for an envelope with another message;
    ``SoftError(text, status=500)`` for a failure that travels as HTTP 200 with the failure envelope;
    ``Bare(value, headers={...})``/``Content(data, content_type=..., status=...)`` to leave the envelope or JSON.

Failures are raised: any ``oc.errors.ODError`` becomes its HTTP status and ``{"status": n, "message": text}``.
"""

from oc.web.answers import Bare, Content, SoftError, Success
from oc.web.call import Call
from oc.web.exposing import Query, Route, expose

__all__ = ["Bare", "Call", "Content", "Query", "Route", "SoftError", "Success", "expose"]
