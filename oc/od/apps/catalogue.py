"""The application catalogue of this process: a snapshot of the database, kept fresh, searched by everybody."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from oc.datastore import DataStore
from oc.errors import AuthenticationDeniedError, ODError, ODResourceNotFoundError
from oc.model.acl import permits
from oc.od.apps.changesignal import ChangeSignal
from oc.od.apps.inspect import UnusableImageError, parse_image, read_image
from oc.od.apps.model import Application
from oc.od.apps.snapshot import Catalogue
from oc.od.apps.store import ImageStore
from oc.od.apps.views import DockEntries, UserView, ViewCache
from oc.od.apps.watching import CatalogueWatcher
from oc.sharecache import ShareCache

logger = logging.getLogger(__name__)


class _Kubernetes(Protocol):
    @property
    def namespace(self) -> str: ...


class _Dock(Protocol):
    @property
    def entries(self) -> DockEntries: ...

    @property
    def img_path(self) -> str: ...


class CatalogueSettings(Protocol):
    """The part of the settings read here."""

    @property
    def kubernetes(self) -> _Kubernetes: ...

    @property
    def dock(self) -> _Dock: ...


class ApplicationCatalogue:
    """The catalogue. Reading takes no lock and does no I/O; changes and reloads follow one another.

    builds: how often the database was read. hits: how often somebody was served from memory. cache: where replicas on
    a standalone MongoDB tell one another of changes.
    """

    def __init__(self, datastore: DataStore, settings: CatalogueSettings, cache: ShareCache) -> None:
        self._namespace = settings.kubernetes.namespace
        self._store = ImageStore(datastore)
        self._views = ViewCache(settings.dock.entries, Path(settings.dock.img_path))
        self._lock = threading.Lock()
        self._snapshot = Catalogue()
        self._loaded = False
        self._signal = ChangeSignal(cache)
        self._watcher = CatalogueWatcher(self._store, self.reload, signal=self._signal.read)
        self.builds = 0
        self.hits = 0

    # --- state ----------------------------------------------------------------------------------------------------

    @property
    def snapshot(self) -> Catalogue:
        """The present state; keep the reference for as long as one answer needs it."""
        self.hits += 1
        return self._snapshot

    @property
    def loaded(self) -> bool:
        """Whether the database has been read at least once."""
        return self._loaded

    def load(self, force: bool = False) -> bool:
        """Read the database (``force``: also when it was read before). Never raises; False when it is away."""
        if self._loaded and not force:
            return True
        try:
            self.reload()
        except ODError as error:
            logger.warning("the application catalogue is not loaded: %s", error.message)
            return False
        return True

    def reload(self) -> Catalogue:
        """Read the database; the new state. Raises UnavailableError, the old state stays."""
        with self._lock:
            applications = self._store.load()
            self.builds += 1
            self._loaded = True
            self._replace(self._snapshot.replaced_by(applications))
            return self._snapshot

    def start(self) -> None:
        """Start to follow changes other replicas make. Twice is harmless."""
        self._watcher.start()

    def stop(self) -> None:
        """Stop following, within about a second. Twice is harmless."""
        self._watcher.stop()

    def _replace(self, successor: Catalogue) -> None:
        if successor is not self._snapshot:
            logger.info("application catalogue: revision %d, %d applications", successor.revision, len(successor))
            self._snapshot = successor

    # --- searching ------------------------------------------------------------------------------------------------

    def view(self, labels: Collection[str]) -> UserView:
        """What somebody with these labels may see: entries, their JSON text and its entity tag."""
        return self._views.view(self.snapshot, labels)

    def for_user(self, labels: Collection[str]) -> list[dict[str, Any]]:
        """The answer of ``getuserapplist``; shared, never changed by the caller."""
        return self.view(labels).entries

    def find_for_user(self, labels: Collection[str], word: str) -> Application:
        """The application to launch: by id, by name, launch, path or program, by MIME type or extension (``.odt``);
        of the allowed ones only.

        Raises ODResourceNotFoundError, or AuthenticationDeniedError when it was allowed a moment ago and no longer is.
        """
        found = self.view(labels).find(word)
        current = self._snapshot.by_id.get(found.id) if found is not None else None
        if current is None:
            raise ODResourceNotFoundError("application not found")
        if not permits(current.acl, labels):
            raise AuthenticationDeniedError
        return current

    def find_by_image(self, image: str) -> Application | None:
        """The application of an image as a container runtime names it, whoever may see it."""
        return self.snapshot.find_by_image(image)

    def find_for_operator(self, word: str) -> Application | None:
        """The application an operator names by id, digest, id without registry host, or name."""
        return self.snapshot.find_for_operator(word)

    # --- changing -------------------------------------------------------------------------------------------------

    def register(self, document: object) -> Application:
        """Store the image one description describes. Raises UnusableImageError, UnavailableError."""
        application = parse_image(document, self._namespace)
        self._save([application])
        return application

    def register_many(self, documents: Iterable[object]) -> list[Application]:
        """Store all usable images of a list in one request; unusable ones are named in the log.

        Of several with one id the last one counts, at the place of the first.
        """
        applications: dict[str, Application] = {}
        for document in documents:
            application = read_image(document, self._namespace)
            if application is not None:
                applications[application.id] = application
        self._save(list(applications.values()))
        return list(applications.values())

    def replace(self, application: Application, document: object) -> Application:
        """Put the image a description describes in the place of a known application, whatever id it brings."""
        successor = parse_image(document, self._namespace)
        with self._lock:
            self._store.save([successor])
            removed = () if successor.id == application.id else (application.id,)
            if removed:
                self._store.delete(removed)
            self._replace(self._snapshot.with_changes([successor], removed))
        self._signal.give()
        return successor

    def delete(self, application: Application) -> None:
        """Delete one application."""
        with self._lock:
            self._store.delete([application.id])
            self._replace(self._snapshot.with_changes(removed=(application.id,)))
        self._signal.give()

    def delete_all(self) -> list[str]:
        """Delete every application; the ids that were there."""
        with self._lock:
            deleted = self._store.delete_all()
            self._replace(self._snapshot.replaced_by(()))
        self._signal.give()
        return deleted

    def _save(self, applications: Sequence[Application]) -> None:
        # Database and memory change under one lock: no reload in between can bring back the older state.
        with self._lock:
            self._store.save(applications)
            self._replace(self._snapshot.with_changes(applications))
        self._signal.give()


__all__ = ["ApplicationCatalogue", "CatalogueSettings", "UnusableImageError"]
