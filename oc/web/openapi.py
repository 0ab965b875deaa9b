"""An OpenAPI 3.1 document made of the declared routes (https://spec.openapis.org/oas/v3.1.0).

Bodies and answers are described by the types the routes declare, failures by what a route's traits make possible.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from oc.web.answers import Bare, Content, SoftError, Success
from oc.web.bodies import ACCEPTED_TYPES, FORM_TYPE
from oc.web.exposing import METHODS_WITH_BODY, Query, Route
from oc.web.routing import Endpoint

JSON: Final = "application/json"
_PARAMETER = re.compile(r"\{([a-z_]+)\*?\}")
_REFERENCE = "#/components/schemas/{name}"
_SECURITY: Final[Mapping[str, list[dict[str, list[str]]]]] = {
    "user": [{"user": []}],
    "optional": [{"user": []}, {}],
    "manager": [{"operator": []}, {}],
}
_FAILURES: Final[Mapping[int, str]] = {
    400: "a parameter is missing or wrong",
    401: "no valid user token, or a banned user or address",
    403: "the policy of the controller refuses: address, API key or method",
    404: "what is asked for is not there",
    405: "another method is needed, see Allow",
    411: "Content-Length is needed",
    413: "the body is too large",
    415: "the body is of another type",
    500: "an unforeseen failure",
    503: "a service this request needs is away, or too many requests wait",
}
#: Types of handlers' results that say nothing about the JSON value.
_OPAQUE: Final = (object, Any, Content, Bare, Success, SoftError, Content | Success, Content | Bare)
_PARAMETER_TEXTS: Final[Mapping[str, str]] = {
    "name": "name of a desktop, that is of its pod",
    "cid": "name of a container of the desktop",
    "pid": "name of an application pod",
    "image_id": "id (slashes plain or as %2F), digest with or without sha256:, or unique name of an application",
    "collection": "collection; of bans: ipaddr or login",
    "value": "address or login, percent-encoded",
    "database": "one of mongodblist",
    "kind": "kind of a document",
    "first": "UTC date like 2026-05-31 13:45:00, included",
    "last": "UTC date like 2026-05-31 13:45:00, not included",
}


def openapi_document(endpoints: Iterable[tuple[str, Endpoint]], version: str = "4.4") -> dict[str, Any]:
    """endpoints: URL segment of the controller (``""`` for the root) and endpoint."""
    listed = sorted(endpoints, key=lambda pair: (pair[0], pair[1].route.path, pair[1].route.methods))
    schemas, components = _schemas(endpoint for _, endpoint in listed)
    paths: dict[str, Any] = {}
    for controller, endpoint in listed:
        for method in endpoint.route.methods:
            operation = _operation(controller, endpoint, method, schemas)
            paths.setdefault(path_of(controller, endpoint.route), {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pyos",
            "version": version,
            "description": "Control plane of a container desktop platform: logins, desktops, applications, "
            "administration. Every failure has the body of the schema Error; some are answered with status 200 and "
            "the schema SoftError, because clients expect that.",
        },
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR, "SoftError": _SOFT_ERROR},
            "responses": {"Error": _json_response("a failure", {"$ref": _REFERENCE.format(name="Error")})},
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def path_of(controller: str, route: Route) -> str:
    """The path of a route as the document names it."""
    return "/".join(part for part in ("/API", controller, _PARAMETER.sub(r"{\1}", route.path)) if part)


def answer_type(endpoint: Endpoint) -> Any:
    """The type of the JSON value a route answers: declared, else the annotation of the handler; Any when unknown."""
    if endpoint.route.answer is not None:
        return endpoint.route.answer
    annotation = typing.get_type_hints(endpoint.handler).get("return", Any)
    return Any if annotation in _OPAQUE else annotation


class _Schemas(dict[str, dict[str, Any]]):
    """Schemas by the text of the type they describe: not every type can be hashed."""

    def of(self, kind: Any) -> dict[str, Any]:
        return self[repr(kind)]


def _schemas(endpoints: Iterable[Endpoint]) -> tuple[_Schemas, dict[str, Any]]:
    """The schemas of all types the routes declare, and the components these refer to."""
    types: dict[str, Any] = {}
    for endpoint in endpoints:
        kinds = [answer_type(endpoint), body_type(endpoint.route), *(query.type for query in endpoint.route.query)]
        types.update({repr(kind): kind for kind in kinds})
    found, components = msgspec.json.schema_components(types.values(), ref_template=_REFERENCE)
    return _Schemas(zip(types, found, strict=True)), components


def body_type(route: Route) -> Any:
    """The type of the JSON value a route takes; Any also when it takes none."""
    return Any if route.body is None or route.body is object else route.body


def _operation(controller: str, endpoint: Endpoint, method: str, schemas: _Schemas) -> dict[str, Any]:
    route = endpoint.route
    operation: dict[str, Any] = {
        "operationId": "_".join((controller or "root", endpoint.handler.__name__, method.lower())),
        "tags": [controller or "root"],
        "summary": route.summary,
        "responses": {"200": _success(endpoint, schemas), **_failures(route, method)},
    }
    if route.tagged:
        operation["responses"]["200"]["headers"] = {"ETag": _ETAG}
    parameters = [_path_parameter(name) for name in _PARAMETER.findall(route.path)]
    parameters += [_query_parameter(query, schemas) for query in route.query]
    if route.tagged and method == "GET":
        parameters.append(dict(_IF_NONE_MATCH))
        operation["responses"]["304"] = {"description": "the answer is still the one with this ETag"}
    if parameters:
        operation["parameters"] = parameters
    if route.auth in _SECURITY:
        operation["security"] = _SECURITY[route.auth]
    if route.body is not None and method in METHODS_WITH_BODY:
        types = (*ACCEPTED_TYPES, FORM_TYPE) if route.form else ACCEPTED_TYPES
        schema = schemas.of(body_type(route))
        operation["requestBody"] = {
            "required": not route.empty_body,
            "content": {name: {"schema": schema} for name in types},
        }
    return operation


def _path_parameter(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": _PARAMETER_TEXTS.get(name, ""),
        "schema": {"type": "string", "minLength": 1},
    }


def _query_parameter(query: Query, schemas: _Schemas) -> dict[str, Any]:
    return {
        "name": query.name,
        "in": "query",
        "required": query.required,
        "description": query.description,
        "schema": schemas.of(query.type),
    }


def _success(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    route, content = endpoint.route, {}
    if route.json:
        schema = schemas.of(answer_type(endpoint))
        content[JSON] = {"schema": _enveloped(schema) if route.envelope else schema}
    # Only text is a string to those who read the schema; a token is a type of its own.
    content.update({name: {"schema": {"type": "string"}} if name.startswith("text/") else {} for name in route.content})
    return {"description": "the answer", "content": content}


def _enveloped(schema: dict[str, Any]) -> dict[str, Any]:
    success = {
        "type": "object",
        "properties": {"status": {"const": 200}, "result": schema, "message": {"type": ["string", "null"]}},
        "required": ["status", "result", "message"],
        "additionalProperties": False,
    }
    return {"anyOf": [success, {"$ref": _REFERENCE.format(name="SoftError")}]}


def _failures(route: Route, method: str) -> dict[str, Any]:
    """What can go wrong with any route of this sort; ``default`` stands for what a backend makes of it."""
    codes = {400, 403, 404, 500}
    if route.auth in ("user", "optional", "login"):
        codes.add(401)
    if route.body is not None and method in METHODS_WITH_BODY:
        codes |= {411, 413, 415}
    if route.lane or route.auth in ("user", "manager"):
        codes.add(503)
    found: dict[str, Any] = {
        str(code): _json_response(_FAILURES[code], {"$ref": _REFERENCE.format(name="Error")}) for code in sorted(codes)
    }
    return {**found, "default": {"$ref": "#/components/responses/Error"}}


def _json_response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": schema}}}


_ETAG: Final[Mapping[str, Any]] = {
    "description": "entity tag of the answer: another one means another answer",
    "schema": {"type": "string"},
}
_IF_NONE_MATCH: Final[Mapping[str, Any]] = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "the ETag of an earlier answer",
    "schema": {"type": "string"},
}
_ERROR: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "status repeats the HTTP status; message is for the user",
    "properties": {
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "message": {"type": "string", "minLength": 1},
    },
    "required": ["status", "message"],
    "additionalProperties": False,
}
_SOFT_ERROR: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "a failure that travels with HTTP status 200",
    "properties": {"status": {"type": "integer", "minimum": 400}, "result": {}, "error": {"type": "string"}},
    "required": ["status", "result", "error"],
    "additionalProperties": False,
}
_SECURITY_SCHEMES: Final[Mapping[str, Any]] = {
    "user": {
        "type": "apiKey",
        "in": "header",
        "name": "ABCAuthorization",
        "description": "`Bearer ` and the user token of a login",
    },
    "operator": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "one of the keys of the controller's policy, where it has any",
    },
}
