"""An OpenAPI 3.1 document made of the declared routes (https://spec.openapis.org/oas/v3.1.0)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from oc.web.bodies import FORM_TYPE
from oc.web.exposing import METHODS_WITH_BODY, Route
from oc.web.routing import Endpoint

_PARAMETER = re.compile(r"\{([a-z_]+)\*?\}")
_REFERENCE = "#/components/schemas/{name}"
_ERROR_RESPONSE = {"$ref": "#/components/responses/Error"}


def openapi_document(endpoints: Iterable[tuple[str, Endpoint]]) -> dict[str, Any]:
    """endpoints: URL segment of the controller (``""`` for the root) and endpoint."""
    listed = sorted(endpoints, key=lambda pair: (pair[0], pair[1].route.path, pair[1].route.methods))
    bodies = [endpoint.route.body for _, endpoint in listed if _is_struct(endpoint.route.body)]
    _, components = msgspec.json.schema_components(bodies, ref_template=_REFERENCE)
    paths: dict[str, Any] = {}
    for controller, endpoint in listed:
        route = endpoint.route
        name = "/".join(part for part in ("/API", controller, _PARAMETER.sub(r"{\1}", route.path)) if part)
        for method in route.methods:
            paths.setdefault(name, {})[method.lower()] = _operation(controller, endpoint, method)
    return {
        "openapi": "3.1.0",
        "info": {"title": "pyos", "version": "4.4", "description": "Control plane of a container desktop platform"},
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _error_schema()},
            "responses": {"Error": _json_response("a failure", {"$ref": "#/components/schemas/Error"})},
            "securitySchemes": {
                "user": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "ABCAuthorization",
                    "description": "Bearer and a user token",
                },
                "operator": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _operation(controller: str, endpoint: Endpoint, method: str) -> dict[str, Any]:
    route = endpoint.route
    operation: dict[str, Any] = {
        "operationId": "_".join(part for part in (controller or "root", endpoint.handler.__name__, method.lower())),
        "tags": [controller or "root"],
        "summary": route.summary,
        "responses": {"200": _success(route), "default": _ERROR_RESPONSE},
    }
    names = _PARAMETER.findall(route.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    security: dict[str, list[dict[str, list[str]]]] = {
        "user": [{"user": []}],
        "optional": [{"user": []}, {}],
        "manager": [{"operator": []}, {}],
    }
    if route.auth in security:
        operation["security"] = security[route.auth]
    if route.body is not None and method in METHODS_WITH_BODY:
        types = ("application/json", FORM_TYPE) if route.form else ("application/json",)
        operation["requestBody"] = {
            "required": not route.empty_body,
            "content": {name: {"schema": _body_schema(route)} for name in types},
        }
    return operation


def _success(route: Route) -> dict[str, Any]:
    if not route.envelope:
        return {"description": "the result"}
    return _json_response(
        "the result in its envelope",
        {
            "type": "object",
            "properties": {"status": {"type": "integer"}, "result": {}, "message": {"type": ["string", "null"]}},
            "required": ["status", "result"],
        },
    )


def _json_response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _body_schema(route: Route) -> dict[str, Any]:
    if _is_struct(route.body):
        return {"$ref": _REFERENCE.format(name=route.body.__name__)}
    return {"type": "object"} if route.body is dict else {}


def _error_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"status": {"type": "integer"}, "message": {"type": "string"}},
        "required": ["status", "message"],
        "additionalProperties": False,
    }


def _is_struct(body: Any) -> bool:
    return isinstance(body, type) and issubclass(body, msgspec.Struct)
