"""The MongoDB connection string of one database (spec services.md 3.2; MongoDB's connection string specification)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

_URL = re.compile(r"(mongodb(?:\+srv)?://)(?:([^/]*)@)?([^/?@]+)(?:/([^?]*))?(?:\?(.*))?", re.DOTALL)
# Accounts of these mechanisms are kept outside of the databases: the driver names the source itself.
_EXTERNAL: Final = frozenset({"mongodb-x509", "gssapi", "plain", "mongodb-aws", "mongodb-oidc"})


def database_url(url: str, param: str, database: str) -> str:
    """The URL of ``database``: the hosts and account of ``url``, the options of both, the database as path.

    url: may name several hosts, a path (replaced) and options; ``mongodb+srv`` too. An option of ``url`` wins over the
    one of that name in ``param`` (names are case-insensitive). With an account, ``authSource`` is the database unless
    it is set: the product's account exists in each database. Raises ValueError, without the URL in its text.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("not a MongoDB URL")
    scheme, account, hosts, _, query = match.groups()
    options = _options(query or "")
    given = {_name(option) for option in options}
    options += [option for option in _options(param) if _name(option) not in given]
    names = {_name(option): option.partition("=")[2] for option in options}
    if account and "authsource" not in names and names.get("authmechanism", "").lower() not in _EXTERNAL:
        options.append(f"authSource={quote(database, safe='')}")
    tail = f"?{'&'.join(options)}" if options else ""
    return f"{scheme}{account + '@' if account else ''}{hosts}/{quote(database, safe='')}{tail}"


def _options(query: str) -> list[str]:
    """``a=1&b=2`` (or with ``;``, as older URLs have it) as a list; a leading ``?`` or ``&`` is harmless."""
    return [option for option in re.split(r"[&;]", query.strip().lstrip("?")) if option]


def _name(option: str) -> str:
    return option.partition("=")[0].strip().lower()
