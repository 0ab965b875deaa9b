"""What one user may see of the catalogue: the list for the front end, and the search for a launch (5.6)."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from oc.model.acl import permits
from oc.od.apps.icons import file_icon
from oc.od.apps.model import Application
from oc.od.apps.snapshot import Catalogue, labels_of

USER_FIELDS: Final = (
    "id", "launch", "name", "icon", "icondata", "keyword", "uniquerunkey", "cat", "args", "execmode", "showinview",
    "displayname", "mimetype", "path", "desktopfile", "sha_id", "created", "executablefilename", "os",
    "secrets_requirement", "architecture", "wm_class", "fileextensions", "legacyfileextensions", "hideindock",
)  # fmt: skip
MAX_VIEWS: Final = 64

DockEntries = Mapping[str, Mapping[str, Any]]


class UserView:
    """The list of everybody who passes the same access lists. Values are shared: nobody changes them.

    entries: the dicts of ``getuserapplist``, dock entries first. applications: the allowed applications, sorted by id.
    """

    def __init__(self, entries: Sequence[dict[str, Any]], applications: Sequence[Application], revision: int) -> None:
        self.entries = list(entries)
        self.applications = tuple(applications)
        self.revision = revision
        self._by_id = {app.id: app for app in self.applications}
        self._by_word: dict[str, Application] = {}
        for app in self.applications:
            for word in (app.name, app.launch, app.path, app.executablefilename):
                if word:
                    self._by_word.setdefault(word, app)

    @functools.cached_property
    def json(self) -> bytes:
        """:attr:`entries` as JSON text."""
        return msgspec.json.encode(self.entries)

    @functools.cached_property
    def etag(self) -> str:
        """A strong entity tag of :attr:`json`, quotes included."""
        return f'"{hashlib.sha256(self.json).hexdigest()[:32]}"'

    @functools.cached_property
    def mime_types(self) -> dict[str, Application]:
        """MIME type -> application: the first that claims it, or the last one that wants to be the default."""
        return self._claims(lambda app: app.mimetype)

    @functools.cached_property
    def file_extensions(self) -> dict[str, Application]:
        """File extension, in lower case and without dot -> application, by the same rule."""
        return self._claims(lambda app: [text.lower().removeprefix(".") for text in app.fileextensions])

    def _claims(self, claimed: Callable[[Application], Iterable[str]]) -> dict[str, Application]:
        found: dict[str, Application] = {}
        for app in self.applications:
            for name in claimed(app):
                if app.usedefaultapplication or name not in found:
                    found[name] = app
        return found

    def find(self, word: str) -> Application | None:
        """The allowed application with this id, else this name, launch, path or program, else for this MIME type.

        A word that starts with a dot may also be a file extension.
        """
        found = self._by_id.get(word) or self._by_word.get(word) or self.mime_types.get(word)
        if found is None and word.startswith("."):
            found = self.file_extensions.get(word[1:].lower())
        return found


class ViewCache:
    """Views by what matters of a user's labels, for one catalogue at a time. Thread-safe.

    dock: entry name -> entry of the configuration; their icons are read from ``icon_directory`` once.
    """

    def __init__(self, dock: DockEntries, icon_directory: Path) -> None:
        self._dock = {name: dock_entry(entry, icon_directory) for name, entry in dock.items()}
        self._dock_acls = {name: entry.get("acl") for name, entry in dock.items()}
        self._dock_labels = frozenset().union(*(labels_of(acl) for acl in self._dock_acls.values()))
        self._lock = threading.Lock()
        self._catalogue: Catalogue | None = None
        self._views: OrderedDict[frozenset[str], UserView] = OrderedDict()

    def view(self, catalogue: Catalogue, labels: Collection[str]) -> UserView:
        """The view of somebody with these labels, made at the first use."""
        key = (catalogue.acl_labels | self._dock_labels).intersection(labels)
        with self._lock:
            if self._catalogue is not catalogue:
                self._catalogue = catalogue
                self._views.clear()
            view = self._views.get(key)
            if view is not None:
                self._views.move_to_end(key)
                return view
        view = self._build(catalogue, key)
        with self._lock:
            if self._catalogue is catalogue:
                view = self._views.setdefault(key, view)
                if len(self._views) > MAX_VIEWS:
                    self._views.popitem(last=False)
        return view

    def _build(self, catalogue: Catalogue, labels: Collection[str]) -> UserView:
        entries = {name: entry for name, entry in self._dock.items() if permits(self._dock_acls[name], labels)}
        allowed = [app for app in catalogue.by_id.values() if permits(app.acl, labels)]
        for app in allowed:
            entries[app.id] = _public(catalogue.documents[app.id])  # an equal key keeps the dock entry's place
        return UserView(list(entries.values()), allowed, catalogue.revision)


def dock_entry(entry: Mapping[str, Any], icon_directory: Path) -> dict[str, Any]:
    """A dock entry of the configuration as the front end gets it, icon read from its file."""
    icon = entry.get("icon")
    return _public({**entry, "icondata": file_icon(icon_directory, icon) if isinstance(icon, str) else None})


def _public(record: Mapping[str, Any]) -> dict[str, Any]:
    return {field: record.get(field) for field in USER_FIELDS}
