"""Kinds that hold other kinds: lists, dicts, records and Kubernetes fragments."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

from oc.od.settings.declaration import Kind, Option, Place, Rejected, options_of
from oc.od.settings.kinds import MAX_TEXT, Flag, Integer, Nullable, Text, gather

T = TypeVar("T")

JsonMapping = Mapping[str, Any]
"""A JSON-like dict. The loader hands out plain dicts so that they can be deep-copied: copy before merging."""

MAX_ITEMS: Final = 10_000
"""Most entries of one list or dict."""

MAX_DEPTH: Final = 40
"""Deepest nesting of a JSON-like value."""


class ListOf(Kind[tuple[T, ...]], Generic[T]):
    """A list (or tuple). `single`: one bare str is read as a list of one."""

    def __init__(self, inner: Kind[T], *, most: int = MAX_ITEMS, single: bool = False) -> None:
        self.inner = inner
        self.most = most
        self.single = single

    def parse(self, value: object, at: Place) -> tuple[T, ...]:
        if self.single and isinstance(value, str):
            at.warn("one text where a list is expected, read as a list of one element")
            value = [value]
        if not isinstance(value, list | tuple):
            raise at.expected(f"a list of {self.inner.name}", value)
        if len(value) > self.most:
            raise at.reject(f"{len(value)} elements, expected at most {self.most}")
        results: list[T] = []
        good = [
            gather(results, lambda item=item, n=n: self.inner.parse(item, at.child(n)))  # type: ignore[misc]
            for n, item in enumerate(value)
        ]
        if not all(good):
            raise Rejected
        return tuple(results)

    def dump(self, value: tuple[T, ...]) -> object:
        return [self.inner.dump(item) for item in value]

    @property
    def name(self) -> str:
        return f"list of {self.inner.name}"

    def nested(self) -> type[Any] | None:
        return self.inner.nested()


class MapOf(Kind[Mapping[str, T]], Generic[T]):
    """A dict with free keys and values of one kind."""

    def __init__(self, inner: Kind[T], *, most: int = MAX_ITEMS) -> None:
        self.inner = inner
        self.most = most

    def parse(self, value: object, at: Place) -> Mapping[str, T]:
        items = text_keys(value, at, f"a dict of {self.inner.name}", self.most)
        results: dict[str, T] = {}
        good = True
        for key, item in items.items():
            try:
                results[key] = self.inner.parse(item, at.child(key))
            except Rejected:
                good = False
        if not good:
            raise Rejected
        return results

    def dump(self, value: Mapping[str, T]) -> object:
        return {key: self.inner.dump(item) for key, item in value.items()}

    @property
    def name(self) -> str:
        return f"dict name -> {self.inner.name}"

    def nested(self) -> type[Any] | None:
        return self.inner.nested()


class Json(Kind[Any]):
    """Any JSON-like value, passed on as it is."""

    def parse(self, value: object, at: Place) -> Any:
        return plain(value, at, MAX_DEPTH)

    @property
    def name(self) -> str:
        return "any"


class JsonDict(Kind[JsonMapping]):
    """A dict of JSON-like values, passed on as it is."""

    def parse(self, value: object, at: Place) -> JsonMapping:
        text_keys(value, at, "a dict", MAX_ITEMS)
        result: dict[str, Any] = plain(value, at, MAX_DEPTH)
        return result

    @property
    def name(self) -> str:
        return "dict"


class EnvironmentMap(Kind[Mapping[str, str]]):
    """A dict of environment variables; numbers and booleans become text."""

    def parse(self, value: object, at: Place) -> Mapping[str, str]:
        items = text_keys(value, at, "a dict of text", 500)
        results: dict[str, str] = {}
        for key, item in items.items():
            place = at.child(key)
            if not key or "=" in key or "\0" in key:
                raise place.reject("not a name of an environment variable")
            if isinstance(item, bool | int | float):
                item = str(item)
            results[key] = Text("text", longest=32_768, empty=True).parse(item, place)
        return results

    @property
    def name(self) -> str:
        return "dict name -> str"


class Shape(Kind[JsonMapping]):
    """A dict kept as a dict, whose known entries are checked: the form of Kubernetes fragments.

    Entries that are absent stay absent. `closed`: an unknown entry is warned about with the nearest name.
    """

    def __init__(self, name: str, known: Mapping[str, Kind[Any]], *, closed: bool = False) -> None:
        self._name = name
        self.known = known
        self.closed = closed

    def parse(self, value: object, at: Place) -> JsonMapping:
        items = text_keys(value, at, f"a dict ({self._name})", MAX_ITEMS)
        results: dict[str, Any] = {}
        good = True
        for key, item in items.items():
            place = at.child(key)
            if key not in self.known and self.closed:
                place.warn(unknown_text(key, self.known))
            kind = self.known.get(key, _JSON)
            try:
                results[key] = kind.dump(kind.parse(item, place))
            except Rejected:
                good = False
        if not good:
            raise Rejected
        return results

    @property
    def name(self) -> str:
        return f"dict ({self._name})"


class Record(Kind[T], Generic[T]):
    """A dict with fixed keys, turned into a dataclass whose fields are declared by `option()`."""

    def __init__(self, cls: type[T]) -> None:
        self.cls = cls
        self.declared: tuple[tuple[str, Option], ...] = tuple(options_of(cls))

    def parse(self, value: object, at: Place) -> T:
        items = text_keys(value, at, "a dict", MAX_ITEMS)
        known = {declared.key for _, declared in self.declared}
        aliases = {alias: declared.key for _, declared in self.declared for alias in declared.aliases}
        given: dict[str, Any] = {}
        good = True
        for attribute, declared in self.declared:
            name = pick_name(declared, items, at)
            if name is None:
                if declared.required:
                    at.child(declared.key).reject(f"is missing, expected {declared.kind.name}")
                    good = False
                continue
            try:
                given[attribute] = declared.kind.parse(items[name], at.child(name, secret=declared.secret))
            except Rejected:
                good = False
        for key in items:
            if key not in known and key not in aliases:
                at.child(key).warn(unknown_text(key, known))
        if not good:
            raise Rejected
        return self.cls(**given)

    def dump(self, value: T) -> object:
        return {declared.key: declared.kind.dump(getattr(value, attr)) for attr, declared in self.declared}

    @property
    def name(self) -> str:
        return "dict"

    def nested(self) -> type[Any] | None:
        return self.cls


def pick_name(declared: Option, items: Mapping[str, object], at: Place) -> str | None:
    """The name under which an option is given; warns when it is an older or misspelt one."""
    for alias in declared.aliases:
        if alias in items:
            place = at.child(alias)
            if declared.key in items:
                place.warn(f"ignored, because its new name '{declared.key}' is set too")
            else:
                place.warn(f"this name is outdated or misspelt, use '{declared.key}'")
    for name in (declared.key, *declared.aliases):
        if name in items:
            return name
    return None


def text_keys(value: object, at: Place, wanted: str, most: int) -> dict[str, object]:
    """Check that `value` is a dict with text keys and return it."""
    if not isinstance(value, Mapping):
        raise at.expected(wanted, value)
    if len(value) > most:
        raise at.reject(f"{len(value)} entries, expected at most {most}")
    for key in value:
        if not isinstance(key, str):
            raise at.reject(f"the key {key!r:.40} is not text" if not at.secret else "a key is not text")
    return dict(value)


def plain(value: object, at: Place, depth: int) -> Any:
    """Copy a JSON-like value into fresh dicts and lists; refuse anything else (bytes, objects)."""
    if depth == 0:
        raise at.reject(f"nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        if len(value) > 1_000_000:
            raise at.reject(f"text of {len(value)} characters, expected at most 1000000")
        return value
    if isinstance(value, list | tuple):
        return [plain(item, at.child(n), depth - 1) for n, item in enumerate(value)]
    if isinstance(value, Mapping):
        items = text_keys(value, at, "a dict", MAX_ITEMS)
        return {key: plain(item, at.child(key), depth - 1) for key, item in items.items()}
    raise at.expected("text, number, True, False, None, list or dict", value)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name most like `word`, or None when nothing is near."""
    lowered = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.strip().lower(), list(lowered), n=1, cutoff=0.75)
    return lowered[found[0]] if found else None


def unknown_text(key: str, known: Iterable[str]) -> str:
    """Message about an unknown key, with a suggestion when one is near."""
    near = nearest(key, known)
    return f"unknown key, ignored. Did you mean '{near}'?" if near else "unknown key, ignored"


_JSON: Final = Json()

QUANTITY_PATTERN: Final = r"[+-]?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?"
"""Kubernetes quantity, https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/."""


class Quantity(Kind[Any]):
    """A Kubernetes quantity: text such as '8Gi' or '250m', or a number."""

    def parse(self, value: object, at: Place) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return value
        return Text("a quantity such as '8Gi' or '250m'", pattern=QUANTITY_PATTERN, longest=64).parse(value, at)

    @property
    def name(self) -> str:
        return "quantity"


class IdOrTemplate(Kind[Any]):
    """A user or group id: a number, or a mustache text that gives one."""

    def parse(self, value: object, at: Place) -> Any:
        if isinstance(value, str):
            return Text("a number or a template such as '{{ uidNumber }}'", longest=200).parse(value, at)
        return Integer(0, 2**31 - 1).parse(value, at)

    @property
    def name(self) -> str:
        return "int or template"


RESOURCES: Final = Shape(
    "resource requirements",
    {"requests": MapOf(Quantity()), "limits": MapOf(Quantity()), "claims": Json()},
    closed=True,
)
NODE_SELECTOR: Final = MapOf(Text("a label value", longest=63, empty=True))
TOLERATIONS: Final = ListOf(
    Shape(
        "toleration",
        {
            "key": Text(longest=317, empty=True),
            "operator": Text(longest=20),
            "value": Text(longest=63, empty=True),
            "effect": Text(longest=40, empty=True),
            "tolerationSeconds": Nullable(Integer(-(2**31))),
        },
        closed=True,
    )
)
SECURITY_CONTEXT: Final = Shape(
    "security context",
    {
        "runAsUser": IdOrTemplate(),
        "runAsGroup": IdOrTemplate(),
        "fsGroup": IdOrTemplate(),
        "supplementalGroups": ListOf(IdOrTemplate(), most=1000),
        "runAsNonRoot": Flag(),
        "readOnlyRootFilesystem": Flag(),
        "allowPrivilegeEscalation": Flag(),
        "privileged": Flag(),
        "capabilities": JsonDict(),
        "seccompProfile": JsonDict(),
        "appArmorProfile": JsonDict(),
        "seLinuxOptions": JsonDict(),
        "windowsOptions": JsonDict(),
        "procMount": Text(),
        "fsGroupChangePolicy": Text(),
        "supplementalGroupsPolicy": Text(),
        "seLinuxChangePolicy": Text(),
        "sysctls": Json(),
    },
    closed=True,
)
LONG_TEXT: Final = Text("text", longest=MAX_TEXT * 16, empty=True)
