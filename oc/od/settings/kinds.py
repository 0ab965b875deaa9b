"""The simple types of configuration values."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from oc.od.settings.declaration import Kind, Level, Place, Rejected

T = TypeVar("T")

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_TEXT: Final = 4096
"""Longest text value without a limit of its own (characters)."""


class Flag(Kind[bool]):
    """True or False; an environment variable is true when it is not empty and no word for false."""

    def parse(self, value: object, at: Place) -> bool:
        if isinstance(value, bool):
            return value
        raise at.expected("True or False", value)

    def parse_text(self, text: str, at: Place) -> bool:
        return text.strip().lower() not in {"", "0", "false", "no", "off"}

    @property
    def name(self) -> str:
        return "bool"


class Integer(Kind[int]):
    """A whole number; text made of digits is converted with a warning."""

    def __init__(self, low: int = 0, high: int = 2**31 - 1, *, unit: str = "") -> None:
        self.low = low
        self.high = high
        self.unit = unit

    def parse(self, value: object, at: Place) -> int:
        number = value
        if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value):
            number = int(value)
            at.warn(f"{at.shown(value)} is text, read as the number {number}: write it without quotes")
        elif isinstance(value, float) and value.is_integer():
            number = int(value)
        if isinstance(number, bool) or not isinstance(number, int) or not self.low <= number <= self.high:
            raise at.expected(self._wanted(), value)
        return number

    def parse_text(self, text: str, at: Place) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text.strip()):
            raise at.expected(self._wanted(), text)
        return self.parse(int(text), at)

    def _wanted(self) -> str:
        unit = f" ({self.unit})" if self.unit else ""
        if self.high == 2**31 - 1:
            return f"a whole number{unit} of at least {self.low}"
        return f"a whole number{unit} between {self.low} and {self.high}"

    @property
    def name(self) -> str:
        return f"int, {self.unit}" if self.unit else "int"


class Number(Kind[float]):
    """A number, whole or not."""

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.high = high

    def parse(self, value: object, at: Place) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            raise at.expected(f"a number between {self.low:g} and {self.high:g}", value)
        return value

    @property
    def name(self) -> str:
        return "number"


class Text(Kind[str]):
    """A str, optionally of a given form. `what` completes "expected ..."."""

    def __init__(
        self, what: str = "text", *, pattern: str | None = None, longest: int = MAX_TEXT, empty: bool = False
    ) -> None:
        self.what = what
        self.pattern = re.compile(pattern) if pattern else None
        self.longest = longest
        self.empty = empty

    def parse(self, value: object, at: Place) -> str:
        if not isinstance(value, str):
            raise at.expected(f"{self.what} (str)", value)
        if len(value) > self.longest:
            raise at.reject(f"text of {len(value)} characters, expected at most {self.longest}")
        if "\0" in value:
            raise at.reject("the text holds a NUL character")
        if not value and not self.empty:
            raise at.expected(f"{self.what}, not empty", value)
        if self.pattern is not None and value and not self.pattern.fullmatch(value):
            raise at.expected(self.what, value)
        return value

    @property
    def name(self) -> str:
        return "str" if self.what == "text" else f"str ({self.what})"


class Choice(Kind[str]):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def parse(self, value: object, at: Place) -> str:
        if isinstance(value, str) and value in self.words:
            return value
        raise at.expected(f"one of {', '.join(repr(word) for word in self.words)}", value)

    @property
    def name(self) -> str:
        return "one of " + ", ".join(f"'{word}'" for word in self.words)


class Url(Kind[str]):
    """An absolute URL of one of some schemes, kept as text. `account`: may hold `user:password@`."""

    def __init__(self, *schemes: str, account: bool = False) -> None:
        self.schemes = schemes or ("http", "https")
        self.account = account

    def parse(self, value: object, at: Place) -> str:
        text = Text("a URL", longest=2048).parse(value, at)
        try:
            parts = urlsplit(text)
            usable = parts.scheme in self.schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if usable and not self.account and "@" in parts.netloc:
            raise at.reject("a URL with an account in it, expected one without 'user:password@'")
        if not usable or re.search(r"[\s\x00-\x20]", text):
            raise at.expected(f"a URL that starts with {' or '.join(f'{s}://' for s in self.schemes)}", value)
        return text

    @property
    def name(self) -> str:
        return "str, URL"


class IpAddress(Kind[str]):
    """An IPv4 or IPv6 address, kept as text."""

    def parse(self, value: object, at: Place) -> str:
        try:
            return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
        except ValueError:
            raise at.expected("an IP address", value) from None

    @property
    def name(self) -> str:
        return "str, IP address"


class Network(Kind[IPNetwork]):
    """A network in CIDR form; host bits are dropped with a warning."""

    def parse(self, value: object, at: Place) -> IPNetwork:
        text = value.strip() if isinstance(value, str) else ""
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise at.expected("a network such as '10.0.0.0/8' or 'fd00::/8'", value) from None
        if "/" in text and ipaddress.ip_address(text.split("/")[0]) != network.network_address:
            at.warn(f"{at.shown(value)} has host bits set, read as {network}")
        return network

    def dump(self, value: IPNetwork) -> object:
        return str(value)

    @property
    def name(self) -> str:
        return "CIDR"


class Nullable(Kind[T | None], Generic[T]):
    """Another kind, or None."""

    def __init__(self, inner: Kind[T]) -> None:
        self.inner = inner

    def parse(self, value: object, at: Place) -> T | None:
        return None if value is None else self.inner.parse(value, at)

    def parse_text(self, text: str, at: Place) -> T | None:
        return self.inner.parse_text(text, at)

    def dump(self, value: T | None) -> object:
        return None if value is None else self.inner.dump(value)

    @property
    def name(self) -> str:
        return f"{self.inner.name} or None"

    def nested(self) -> type[Any] | None:
        return self.inner.nested()


class Or(Kind[T], Generic[T]):
    """A kind that first looks at the value: `pick` returns the kind to use, or None to refuse it.

    The result is the plain form (list, dict, text) of the value, checked.
    """

    def __init__(self, name: str, pick: Callable[[object], Kind[Any] | None]) -> None:
        self._name = name
        self.pick = pick

    def parse(self, value: object, at: Place) -> T:
        kind = self.pick(value)
        if kind is None:
            raise at.expected(self._name, value)
        result: Any = kind.dump(kind.parse(value, at))
        return result  # type: ignore[no-any-return]

    @property
    def name(self) -> str:
        return self._name


class OrDefault(Kind[T], Generic[T]):
    """Another kind whose errors are repaired: they become warnings and the default is used instead."""

    def __init__(self, inner: Kind[T], default: T, repair: str) -> None:
        self.inner = inner
        self.default = default
        self.repair = repair

    def parse(self, value: object, at: Place) -> T:
        before = len(at.report.problems)
        try:
            return self.inner.parse(value, at)
        except Rejected:
            at.report.lower(before, Level.WARNING)
            at.warn(self.repair)
            return self.default

    def dump(self, value: T) -> object:
        return self.inner.dump(value)

    @property
    def name(self) -> str:
        return self.inner.name

    def nested(self) -> type[Any] | None:
        return self.inner.nested()


def gather(results: list[T], parse: Callable[[], T]) -> bool:
    """Append `parse()`; False when it was rejected. Lets a container report all its errors at once."""
    try:
        results.append(parse())
    except Rejected:
        return False
    return True


ABSOLUTE_PATH: Final = Text("an absolute path", pattern=r"/[^\x00]*", longest=1024)
