"""JSON patch (RFC 6902), merge patch (RFC 7396) and strategic merge patch."""

from __future__ import annotations

from typing import Any

from devstack.cluster.errors import ApiError, bad_request, server_error
from devstack.cluster.objects import Object, copy_json
from devstack.cluster.schema import Field, Type

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)
_OPERATIONS_LIMIT = 10_000


def go_text(value: Any) -> str:
    """A JSON value as Go's %v prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(go_text, value)) + "]"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


# -- JSON patch ------------------------------------------------------------------------------------------------------
def _rejected() -> ApiError:
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def json_patch(document: Object, operations: Any) -> Object:
    """The patched document.  Raises ApiError 400, 413 or 422."""
    if not isinstance(operations, list):
        kind = "object" if isinstance(operations, dict) else "string" if isinstance(operations, str) else "number"
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {kind} into Go value of type []handlers.jsonPatchOp"
        )
    if len(operations) > _OPERATIONS_LIMIT:
        raise ApiError(
            413, "RequestEntityTooLarge", f"The allowed maximum operations in a JSON patch is {_OPERATIONS_LIMIT}"
        )
    holder: dict[str, Any] = {"": copy_json(document)}
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise _rejected()
        _operate(holder, operation)
    result = holder[""]
    if not isinstance(result, dict):
        raise _rejected()
    patched: Object = result
    return patched


def _pointer(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise _rejected()
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")]


def _parent(holder: Any, path: list[str]) -> Any:
    at: Any = holder
    for part in path[:-1]:
        at = _child(at, part)
    return at


def _child(container: Any, key: str) -> Any:
    if isinstance(container, dict) and key in container:
        return container[key]
    if isinstance(container, list):
        return container[_index(container, key, len(container) - 1)]
    raise _rejected()


def _index(container: list[Any], key: str, most: int) -> int:
    try:
        number = int(key)
    except ValueError:
        raise _rejected() from None
    if number < 0:
        number += len(container)
    if not 0 <= number <= most:
        raise _rejected()
    return number


def _operate(holder: Any, operation: Object) -> None:
    kind = operation.get("op")
    path = _pointer(operation["path"])
    parent, key = _parent(holder, path), path[-1]
    if kind == "add":
        _add(parent, key, copy_json(operation.get("value")))
    elif kind == "replace":
        if isinstance(parent, dict):
            parent[key] = copy_json(operation.get("value"))
        else:
            _child(parent, key)
            parent[_index(parent, key, len(parent) - 1)] = copy_json(operation.get("value"))
    elif kind == "remove":
        _remove(parent, key)
    elif kind == "test":
        found = parent.get(key) if isinstance(parent, dict) else _child(parent, key)
        if found != operation.get("value"):
            raise _rejected()
    elif kind in ("move", "copy"):
        source = _pointer(operation.get("from"))
        origin = _parent(holder, source)
        value = copy_json(_child(origin, source[-1]))
        if kind == "move":
            _remove(origin, source[-1])
            parent = _parent(holder, path)
        _add(parent, key, value)
    else:
        raise _rejected()


def _add(parent: Any, key: str, value: Any) -> None:
    if isinstance(parent, dict):
        parent[key] = value
    elif isinstance(parent, list):
        if key == "-":
            parent.append(value)
        else:
            parent.insert(_index(parent, key, len(parent)), value)
    else:
        raise _rejected()


def _remove(parent: Any, key: str) -> None:
    _child(parent, key)
    if isinstance(parent, dict):
        del parent[key]
    else:
        del parent[_index(parent, key, len(parent) - 1)]


# -- merge patch -----------------------------------------------------------------------------------------------------
def merge_patch(document: Object, patch: Object) -> Object:
    """The document with the patch merged in; null removes."""
    result = dict(document)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            inner = result.get(key)
            result[key] = merge_patch(inner if isinstance(inner, dict) else {}, value)
        else:
            result[key] = copy_json(value)
    return result


# -- strategic merge patch -------------------------------------------------------------------------------------------
_ORDER, _DELETE_LIST, _RETAIN = "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys"


def strategic_patch(document: Object, patch: Object, type_: Type) -> Object:
    """The document with the patch merged in by the patch strategies of its type.  Raises ApiError 500 as Kubernetes."""
    return _strategic_map(document, patch, type_)


def _strategic_map(original: Object, patch: Object, type_: Type | None) -> Object:
    directive = patch.get("$patch")
    if directive == "replace":
        replaced: Object = _without_directives({key: value for key, value in patch.items() if key != "$patch"})
        return replaced
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise server_error(f"unknown patch type: {go_text(directive)} in map: {go_text(patch)}")
    result = dict(original)
    if _RETAIN in patch:
        keep = set(patch[_RETAIN])
        result = {key: value for key, value in result.items() if key in keep}
    for key, value in patch.items():
        if key.startswith("$"):
            _directive(result, key, value, patch, type_)
            continue
        if value is None:
            result.pop(key, None)
            continue
        field = type_.fields.get(key) if type_ is not None and type_.form == "object" else None
        result[key] = _strategic_value(result.get(key), value, field, _inner(type_, field), patch, key)
    return result


def _inner(type_: Type | None, field: Field | None) -> Type | None:
    if field is not None:
        return field.type
    return type_.items if type_ is not None and type_.form == "map" else None


def _directive(result: Object, key: str, value: Any, patch: Object, type_: Type | None) -> None:
    """Directives on a list that the patch itself does not name otherwise."""
    if key.startswith(_DELETE_LIST):
        name = key[len(_DELETE_LIST) :]
        if name not in patch and isinstance(result.get(name), list):
            result[name] = [item for item in result[name] if item not in value]
    elif key.startswith(_ORDER):
        name = key[len(_ORDER) :]
        if name not in patch and isinstance(result.get(name), list):
            field = type_.fields.get(name) if type_ is not None else None
            result[name] = _ordered(result[name], value, field.merge_key if field else "", set())


def _strategic_value(
    original: Any, value: Any, field: Field | None, type_: Type | None, patch: Object, key: str
) -> Any:
    if isinstance(value, dict):
        if isinstance(original, dict):
            return _strategic_map(original, value, type_)
        if value.get("$patch") == "delete":
            return {}
        return _without_directives(value)
    if isinstance(value, list):
        if field is not None and "merge" in field.strategy:
            return _strategic_list(original if isinstance(original, list) else [], value, field, patch, key)
        return _without_directives(value)
    return value


def _strategic_list(original: list[Any], items: list[Any], field: Field, patch: Object, key: str) -> list[Any]:
    order = patch.get(_ORDER + key)
    if not field.merge_key:
        kept = [item for item in original if item not in patch.get(_DELETE_LIST + key, ())]
        merged = items + [item for item in kept if item not in items]
        return _ordered(merged, order, "", set(map(str, items))) if order else merged
    if any(isinstance(item, dict) and item.get("$patch") == "replace" and len(item) == 1 for item in items):
        return [_without_directives(item) for item in items if item != {"$patch": "replace"}]
    result = list(original)
    new: list[Any] = []
    element = field.type.items
    for item in items:
        if not isinstance(item, dict):
            raise server_error(f"expected a map in a list merged by key: {go_text(item)}")
        if field.merge_key not in item:
            raise server_error(f"map: {go_text(item)} does not contain declared merge key: {field.merge_key}")
        identity = item[field.merge_key]
        at = next((n for n, o in enumerate(result) if o.get(field.merge_key) == identity), None)
        directive = item.get("$patch")
        if directive == "delete":
            if at is not None:
                del result[at]
        elif at is not None:
            clean = {k: v for k, v in item.items() if k != "$patch"}
            result[at] = (
                _without_directives(clean) if directive == "replace" else _strategic_map(result[at], item, element)
            )
        elif directive is None or directive in ("merge", "replace"):
            new.append(_without_directives({k: v for k, v in item.items() if k != "$patch"}))
        else:
            raise server_error(f"unknown patch type: {go_text(directive)} in map: {go_text(item)}")
    if order:
        return _ordered(result + new, order, field.merge_key, {str(item.get(field.merge_key)) for item in items})
    # Without a given order what the patch adds comes first.
    return new + result


def _ordered(items: list[Any], order: list[Any], merge_key: str, patched: set[str]) -> list[Any]:
    """Items named by `order` in that order; the others stay in front of the one they stood before."""

    def identity(item: Any) -> str:
        return str(item.get(merge_key)) if merge_key and isinstance(item, dict) else str(item)

    wanted = [identity(item) for item in order]
    named = sorted((item for item in items if identity(item) in wanted), key=lambda item: wanted.index(identity(item)))
    others = [item for item in items if identity(item) not in wanted]
    if not others:
        return named
    result: list[Any] = []
    positions = {identity(item): number for number, item in enumerate(items)}
    queue = list(named)
    for other in others:
        while (
            queue and identity(queue[0]) not in patched and positions[identity(queue[0])] < positions[identity(other)]
        ):
            result.append(queue.pop(0))
        result.append(other)
    return result + queue


def _without_directives(value: Any) -> Any:
    """What a patch adds as a whole: its directives and nulls do not become part of the object."""
    if isinstance(value, dict):
        return {
            key: _without_directives(item)
            for key, item in value.items()
            if item is not None and key not in ("$patch", _RETAIN) and not key.startswith((_ORDER, _DELETE_LIST))
        }
    if isinstance(value, list):
        return [
            _without_directives(item)
            for item in value
            if not (isinstance(item, dict) and item.get("$patch") in ("delete", "replace") and len(item) <= 2)
        ]
    return value
