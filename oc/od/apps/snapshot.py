"""One state of the catalogue: immutable, replaced as a whole, read without a lock and without a copy."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from oc.od.apps.model import Application


def without_registry(identifier: str) -> str:
    """An image id without its registry host: ``docker.io/abcdesktopio/x:1`` gives ``abcdesktopio/x:1``.

    As in image references, the first part is a host when it has a dot or a colon or is ``localhost``.
    """
    first, slash, rest = identifier.partition("/")
    return rest if slash and ("." in first or ":" in first or first == "localhost") else identifier


class Catalogue:
    """The applications of one revision, in the order of their ids.

    by_id: id -> application. revision: counts the different states this process has seen. Values are shared between
    all readers: nobody changes them.
    """

    def __init__(self, applications: Iterable[Application] = (), revision: int = 0) -> None:
        ordered = {app.id: app for app in sorted(applications, key=lambda app: app.id)}
        self.by_id: Mapping[str, Application] = MappingProxyType(ordered)
        self.revision = revision
        self._by_digest: dict[str, Application] = {}
        self._by_name: dict[str, list[Application]] = {}
        self._by_bare_id: dict[str, list[Application]] = {}
        for app in ordered.values():
            self._by_digest.setdefault(_hex(app.sha_id), app)
            self._by_name.setdefault(app.name, []).append(app)
            self._by_bare_id.setdefault(without_registry(app.id), []).append(app)

    def __len__(self) -> int:
        return len(self.by_id)

    @functools.cached_property
    def documents(self) -> dict[str, dict[str, Any]]:
        """id -> record as a JSON-like dict; shared, never changed."""
        return {identifier: app.document() for identifier, app in self.by_id.items()}

    @functools.cached_property
    def json(self) -> bytes:
        """:attr:`documents` as JSON text."""
        return msgspec.json.encode(dict(self.by_id))

    @functools.cached_property
    def etag(self) -> str:
        """A strong entity tag of :attr:`json`, quotes included."""
        return f'"{hashlib.sha256(self.json).hexdigest()[:32]}"'

    @functools.cached_property
    def acl_labels(self) -> frozenset[str]:
        """Every label an application's access list names: no other label changes what a user sees."""
        found: set[str] = set()
        for app in self.by_id.values():
            found |= labels_of(app.acl)
        return frozenset(found)

    def pairs(self) -> frozenset[tuple[str, str]]:
        """(id, sha_id) of every application, to compare with the database."""
        return frozenset((app.id, app.sha_id) for app in self.by_id.values())

    def find_by_image(self, image: str) -> Application | None:
        """The application of an image as a container runtime names it.

        Exact id, then the last two parts of an id with more, then the digest with or without ``sha256:``.
        """
        found = self.by_id.get(image)
        if found is None:
            parts = image.split("/")
            if len(parts) > 2:
                found = self.by_id.get("/".join(parts[-2:]))
        return found or self._by_digest.get(_hex(image))

    def find_for_operator(self, word: str) -> Application | None:
        """The application an operator names.

        Full id, digest with or without ``sha256:``, id without its registry host (on either side, when only one
        matches), name when only one has it. Of several images with one digest the first id is taken.
        """
        found = self.by_id.get(word) or self._by_digest.get(_hex(word)) or self.by_id.get(without_registry(word))
        if found is not None:
            return found
        for candidates in (self._by_bare_id.get(word), self._by_name.get(word)):
            if candidates and len(candidates) == 1:
                return candidates[0]
        return None

    def with_changes(self, stored: Iterable[Application] = (), removed: Collection[str] = ()) -> Catalogue:
        """The next state after a local change; the same object when nothing differs."""
        applications = {key: app for key, app in self.by_id.items() if key not in removed}
        applications.update((app.id, app) for app in stored)
        return self.replaced_by(applications.values())

    def replaced_by(self, applications: Iterable[Application]) -> Catalogue:
        """The next state with these applications; the same object when nothing differs."""
        successor = Catalogue(applications, self.revision + 1)
        return self if successor.by_id == self.by_id else successor


def labels_of(acl: object) -> set[str]:
    """The labels an access list names, ``all`` included."""
    if not isinstance(acl, Mapping):
        return set()
    entries = [acl.get("permit"), acl.get("deny")]
    return {label for part in entries if isinstance(part, (list, tuple)) for label in part if isinstance(label, str)}


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
