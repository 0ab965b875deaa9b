"""Failures as the Kubernetes API tells them: an HTTP status and a Status object (meta/v1)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from devstack.cluster.objects import Object

OPTIMISTIC_LOCK = "the object has been modified; please apply your changes to the latest version and try again"


class ApiError(Exception):
    """An answer other than success; `body` is the Status object."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        details: Object | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = headers or {}
        self.metadata: Object = {}

    @property
    def body(self) -> Object:
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.status
        return body


@dataclass(frozen=True)
class FieldError:
    """One cause of an Invalid answer (field.Error in Kubernetes)."""

    reason: str
    field: str
    message: str

    def text(self) -> str:
        return f"{self.field}: {self.message}"


def quote(value: Any) -> str:
    """A bad value as it stands in a message: strings in quotes, the rest as JSON (field.Error writes it so)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def invalid(field: str, value: Any, detail: str) -> FieldError:
    return FieldError("FieldValueInvalid", field, f"Invalid value: {quote(value)}: {detail}")


def required(field: str, detail: str = "") -> FieldError:
    return FieldError("FieldValueRequired", field, "Required value" + (f": {detail}" if detail else ""))


def forbidden_field(field: str, detail: str) -> FieldError:
    return FieldError("FieldValueForbidden", field, f"Forbidden: {detail}")


def duplicate(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueDuplicate", field, f"Duplicate value: {quote(value)}")


def not_found_field(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueNotFound", field, f"Not found: {quote(value)}")


def unsupported(field: str, value: Any, supported: list[str]) -> FieldError:
    known = ", ".join(quote(name) for name in supported)
    return FieldError("FieldValueNotSupported", field, f"Unsupported value: {quote(value)}: supported values: {known}")


def too_long(field: str, detail: str) -> FieldError:
    return FieldError("FieldValueTooLong", field, f"Too long: {detail}")


def qualified_kind(kind: str, group: str) -> str:
    return f"{kind}.{group}" if group else kind


def invalid_object(kind: str, group: str, name: str, errors: list[FieldError]) -> ApiError:
    """422 Invalid with one cause a field error."""
    texts = list(dict.fromkeys(error.text() for error in errors))
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    causes = [{"reason": e.reason, "message": e.message, "field": e.field} for e in errors]
    details = {**_details(name, group, kind), "causes": causes}
    message = f'{qualified_kind(kind, group)} "{name}" is invalid: {joined}'
    return ApiError(422, "Invalid", message, details)


def _details(name: str, group: str, kind: str) -> Object:
    details: Object = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    return details


def not_found(plural: str, group: str, name: str) -> ApiError:
    message = f'{qualified_kind(plural, group)} "{name}" not found'
    return ApiError(404, "NotFound", message, _details(name, group, plural))


def no_such_resource() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def already_exists(plural: str, group: str, name: str) -> ApiError:
    message = f'{qualified_kind(plural, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(name, group, plural))


def conflict(plural: str, group: str, name: str, why: str = OPTIMISTIC_LOCK) -> ApiError:
    message = f'Operation cannot be fulfilled on {qualified_kind(plural, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(name, group, plural))


def forbidden(plural: str, group: str, name: str, why: str) -> ApiError:
    what = f'{qualified_kind(plural, group)} "{name}"' if name else qualified_kind(plural, group)
    text = f"{what} is forbidden: {why}" if plural else f"forbidden: {why}"
    return ApiError(403, "Forbidden", text, _details(name, group, plural))


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def internal(message: str) -> ApiError:
    return ApiError(500, "InternalError", message)


def server_error(message: str) -> ApiError:
    """A 500 without a reason, as Kubernetes answers for errors that are not API errors."""
    return ApiError(500, "", message)


def expired(message: str) -> ApiError:
    return ApiError(410, "Expired", message)
