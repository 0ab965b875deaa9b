"""The query of a request: converted and validated as metav1's options (CreateOptions, ListOptions, ...)."""

from __future__ import annotations

from dataclasses import dataclass

from devstack.cluster.errors import (
    ApiError,
    FieldError,
    bad_request,
    forbidden_field,
    invalid_object,
    required,
    server_error,
    too_long,
    unsupported,
)
from devstack.cluster.requestinfo import flag

Query = dict[str, list[str]]
MANAGER_LIMIT = 128
META_GROUP = "meta.k8s.io"


def first(query: Query, name: str) -> str:
    values = query.get(name)
    return values[0] if values else ""


def integer(query: Query, name: str) -> int | None:
    """An int64 parameter; None when it is not there.  Raises ApiError 400."""
    text = first(query, name)
    if text == "":
        return None
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text[:64]}": invalid syntax') from None


@dataclass(frozen=True)
class WriteOptions:
    """Of create, update and patch."""

    dry_run: bool
    manager: str
    validation: str
    force: bool = False


def check(kind: str, errors: list[FieldError]) -> None:
    if errors:
        raise invalid_object(kind, META_GROUP, "", errors)


def dry_run_errors(values: list[str]) -> list[FieldError]:
    return [unsupported("dryRun", values, ["All"])] if values and values != ["All"] else []


def write_options(query: Query, kind: str, *, apply: bool = False) -> WriteOptions:
    """`kind`: CreateOptions, UpdateOptions or PatchOptions.  Raises ApiError 422."""
    dry = query.get("dryRun", [])
    manager = first(query, "fieldManager")
    validation = first(query, "fieldValidation")
    force = query.get("force", [])
    errors: list[FieldError] = []
    if kind == "PatchOptions":
        if apply and not manager:
            errors.append(required("fieldManager", "is required for apply patch"))
        if not apply and force:
            errors.append(forbidden_field("force", "may not be specified for non-apply patch"))
    if len(manager) > MANAGER_LIMIT:
        errors.append(too_long("fieldManager", f"may not be more than {MANAGER_LIMIT} bytes"))
    errors.extend(dry_run_errors(dry))
    if validation not in ("", "Ignore", "Strict", "Warn"):
        errors.append(unsupported("fieldValidation", validation, ["", "Ignore", "Strict", "Warn"]))
    check(kind, errors)
    return WriteOptions(bool(dry), manager, validation or "Warn", flag(force))


@dataclass(frozen=True)
class ListOptions:
    """Of list, watch and deletecollection; `version` is None when no resourceVersion was given."""

    labels: str
    fields: str
    version: int | None
    match: str
    limit: int
    continue_token: str
    timeout_s: int | None
    bookmarks: bool
    initial_events: bool | None


def version_number(text: str) -> int:
    """Raises ValueError with Go's words."""
    if not text.isascii() or not text.isdigit():
        raise ValueError(
            f'resourceVersion: Invalid value: "{text[:64]}": strconv.ParseUint: parsing "{text[:64]}": invalid syntax'
        )
    return int(text)


def list_options(query: Query, *, watch: bool) -> ListOptions:
    """Raises ApiError 400, 422 (or 500 for a watch from what is no version)."""
    timeout, limit = integer(query, "timeoutSeconds"), integer(query, "limit")
    match, version_text = first(query, "resourceVersionMatch"), first(query, "resourceVersion")
    initial = flag(query["sendInitialEvents"]) if query.get("sendInitialEvents") else None
    token = first(query, "continue")
    check("ListOptions", _match_errors(match, version_text, initial, watch=watch, token=bool(token)))
    version: int | None = None
    if version_text:
        if token:
            raise bad_request("specifying resource version is not allowed when using continue")
        try:
            version = version_number(version_text)
        except ValueError as error:
            if watch:
                raise server_error(str(error)) from error
            raise bad_request(f"invalid resource version: {error}") from error
    return ListOptions(
        first(query, "labelSelector"),
        first(query, "fieldSelector"),
        version,
        match,
        max(limit or 0, 0),
        token,
        timeout,
        flag(query.get("allowWatchBookmarks", [])),
        initial,
    )


def _match_errors(match: str, version: str, initial: bool | None, *, watch: bool, token: bool) -> list[FieldError]:
    where = "resourceVersionMatch"
    if watch:
        if initial is None and match:
            return [
                forbidden_field(
                    where, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
                )
            ]
        if initial is not None and match != "NotOlderThan":
            return [forbidden_field(where, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")]
        return []
    if initial is not None:
        return [forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list")]
    if not match:
        return []
    if match not in ("Exact", "NotOlderThan"):
        return [unsupported(where, match, ["Exact", "NotOlderThan", ""])]
    if token:
        return [forbidden_field(where, "resourceVersionMatch is forbidden when continue is provided")]
    if not version:
        return [forbidden_field(where, "resourceVersionMatch is forbidden unless resourceVersion is provided")]
    if match == "Exact" and version == "0":
        return [forbidden_field(where, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')]
    return []


def too_large(version: int, current: int) -> ApiError:
    """504: the client asks for a state that is yet to come."""
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    message = f"Timeout: Too large resource version: {version}, current: {current}"
    return ApiError(504, "Timeout", message, details, {"Retry-After": "1"})
