"""Addresses of MongoDB and memcached."""

from __future__ import annotations

import dataclasses
import re
from typing import Final
from urllib.parse import urlsplit

from oc.od.settings.containers import ListOf
from oc.od.settings.declaration import Kind, Place, option
from oc.od.settings.kinds import Flag, Integer, Nullable, Text

DATABASES: Final = ("image", "fail2ban", "loginHistory", "applications", "profiles", "desktop")

_HOST = Text("a host name or address", pattern=r"[A-Za-z0-9._:\[\]%/-]+", longest=255)


class MongoUrl(Kind[str]):
    """A MongoDB connection string. Never quoted in messages: it may hold a password."""

    def parse(self, value: object, at: Place) -> str:
        if value is None:
            return DEFAULT_MONGODB_URL
        text = Text("a MongoDB URL", longest=4096).parse(value, at)
        if not re.match(r"mongodb(\+srv)?://", text):
            raise at.reject("not a MongoDB URL, expected mongodb://[user:password@]host[:port][,host[:port]]")
        if not all(name for name, _ in mongodb_hosts(text)):
            raise at.reject("the MongoDB URL names no host, expected mongodb://[user:password@]host[:port]")
        return text

    @property
    def name(self) -> str:
        return "str, MongoDB URL"


class MemcachedHost(Kind[str]):
    """A host name; None means the default."""

    def parse(self, value: object, at: Place) -> str:
        return DEFAULT_MEMCACHED if value is None else _HOST.parse(value, at)

    @property
    def name(self) -> str:
        return "str, host"


DEFAULT_MONGODB_URL: Final = "mongodb://mongodb"
DEFAULT_MEMCACHED: Final = "memcached"


@dataclasses.dataclass(frozen=True)
class MongodbSettings:
    """Where the databases are. The URL may hold a password: it is not in `repr`."""

    url: str = option(
        MongoUrl(),
        DEFAULT_MONGODB_URL,
        key="mongodburl",
        meaning="Base URL of MongoDB, with the account if there is one. The account must exist in each database.",
        env="MONGODB_URL",
        secret=True,
        sample="mongodb://pyos:PASSWORD@mongodb",
    )
    param: str = option(
        Text("query parameters of a MongoDB URL", pattern=r"[^\s?#]*", longest=2048, empty=True),
        "replicaSet=rs0",
        key="mongodbparam",
        meaning="Query parameters added to every MongoDB URL.",
        since="4.3",
        env="MONGODB_PARAM",
    )
    databases: tuple[str, ...] = option(
        ListOf(Text("a database name", pattern=r"[^/\\. \"$*<>:|?\x00]+", longest=63), most=100),
        DATABASES,
        key="mongodblist",
        meaning="Databases the manager's datastore route reports.",
        since="3.4",
    )

    def hosts(self) -> tuple[tuple[str, int], ...]:
        """(host, port) of every server named in the URL, for reachability checks."""
        return mongodb_hosts(self.url)


@dataclasses.dataclass(frozen=True)
class HistorySettings:
    """What is remembered of logins and desktops, and for how long."""

    retention: int | None = option(
        Nullable(Integer(60, 2**31 - 1, unit="s")),
        None,
        key="historyretentionseconds",
        meaning="Age at which MongoDB deletes records of loginHistory and desktop.history. None keeps them for ever.",
        since="4.4, extension",
        sample=31536000,
    )
    anonymous: bool = option(
        Flag(),
        True,
        key="historyanonymous",
        meaning="Whether logins of generated user ids (anonymous provider) are kept. Each makes a collection of its "
        "own in loginHistory.",
        since="4.4, extension",
    )


@dataclasses.dataclass(frozen=True)
class MemcachedSettings:
    """Where the shared cache is."""

    host: str = option(
        MemcachedHost(),
        DEFAULT_MEMCACHED,
        key="memcacheserver",
        meaning="Host of memcached. None means the default.",
        env="MEMCACHESERVER",
    )
    port: int = option(
        Integer(1, 65535), 11211, key="memcacheport", meaning="TCP port of memcached.", aliases=("memcachedport",)
    )


@dataclasses.dataclass(frozen=True)
class _Parts:
    scheme: str
    netloc: str
    path: str
    query: str


def _split(url: str) -> _Parts:
    """`urlsplit` that leaves the host list alone (several hosts are no valid URL elsewhere)."""
    scheme, _, rest = url.partition("://")
    account, at_sign, address = rest.rpartition("@")
    parts = urlsplit(f"//{address.partition('/')[0].partition('?')[0]}")
    tail = address[len(parts.netloc) :]
    path, _, query = tail.partition("?")
    return _Parts(scheme, f"{account}{at_sign}{parts.netloc}", path, query)


def mongodb_hosts(url: str) -> tuple[tuple[str, int], ...]:
    """(host, port) of each server of a MongoDB URL; the port defaults to 27017."""
    servers = _split(url).netloc.rpartition("@")[2].split(",")
    found: list[tuple[str, int]] = []
    for server in servers:
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]\s]*)(?::([0-9]{1,5}))?", server.strip())
        host, port = (match.group(1).strip("[]"), match.group(2)) if match else ("", None)
        found.append((host, int(port) if port else 27017))
    return tuple(found)
