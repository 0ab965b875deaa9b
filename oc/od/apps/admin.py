"""What the manager's image routes do and answer, without HTTP (spec services.md 5.4, http-api.md 4.3).

Every function may raise UnavailableError (503). Records come without ``_id``. Right after an answer this process's
catalogue shows the change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from oc.errors import BadRequestError, ODResourceNotFoundError
from oc.od.apps.catalogue import ApplicationCatalogue
from oc.od.apps.inspect import UnusableImageError
from oc.od.apps.model import Application

Record = dict[str, Any]
Prefetch = Callable[[Application, str | None], bool]
"""Asks the cluster to pull the image of an application on a node (None: wherever it may run); True when it will."""

UNUSABLE: Final = "failed to add json image format to collection"
MALFORMED: Final = "Invalid parameters Bad Request"


def list_images(apps: ApplicationCatalogue, refresh: bool = False) -> dict[str, Record]:
    """id -> record of the whole catalogue; ``refresh`` reads the database first."""
    return (apps.reload() if refresh else apps.snapshot).documents


def list_images_json(apps: ApplicationCatalogue, refresh: bool = False) -> tuple[bytes, str]:
    """:func:`list_images` as JSON text, encoded once a revision, and its entity tag."""
    catalogue = apps.reload() if refresh else apps.snapshot
    return catalogue.json, catalogue.etag


def get_image(apps: ApplicationCatalogue, image_id: str) -> Record:
    """The record of one application. Raises ODResourceNotFoundError."""
    return _known(apps, image_id).document()


def post_images(apps: ApplicationCatalogue, body: object) -> Record | list[Record]:
    """Store one description (its record) or a list of them (records of the usable ones, order kept).

    Raises BadRequestError when nothing is usable; an empty list is accepted.
    """
    stored = _store(apps, body)
    return [app.document() for app in stored] if isinstance(stored, list) else stored.document()


def put_images(
    apps: ApplicationCatalogue, body: object, node: str | None = None, prefetch: Prefetch | None = None
) -> Record | list[Record]:
    """As :func:`post_images`, then have the images pulled; each record says in ``pulling`` whether they will be."""
    stored = _store(apps, body)
    if isinstance(stored, list):
        return [_pulled(app, node, prefetch) for app in stored]
    return _pulled(stored, node, prefetch)


def patch_image(apps: ApplicationCatalogue, image_id: str, body: object) -> Record:
    """Replace one application by a description (the first one of a list); the new record.

    Raises ODResourceNotFoundError, BadRequestError.
    """
    known = _known(apps, image_id)
    if isinstance(body, list):
        body = body[0] if body else None
    if not isinstance(body, dict):
        raise BadRequestError(MALFORMED)
    try:
        return apps.replace(known, body).document()
    except UnusableImageError as error:
        raise BadRequestError(UNUSABLE, doing=error.message) from error


def delete_image(apps: ApplicationCatalogue, image_id: str) -> list[str]:
    """Delete one application (``*``: all); its id as it was given. Raises ODResourceNotFoundError."""
    if image_id == "*":
        return delete_images(apps)
    apps.delete(_known(apps, image_id))
    return [image_id]


def delete_images(apps: ApplicationCatalogue) -> list[str]:
    """Delete all applications; their ids."""
    return apps.delete_all()


def _known(apps: ApplicationCatalogue, image_id: str) -> Application:
    application = apps.find_for_operator(image_id)
    if application is None:
        raise ODResourceNotFoundError("Not found")
    return application


def _store(apps: ApplicationCatalogue, body: object) -> Application | list[Application]:
    if isinstance(body, list):
        stored = apps.register_many(body)
        if body and not stored:
            raise BadRequestError(UNUSABLE)
        return stored
    if not isinstance(body, dict):
        raise BadRequestError(MALFORMED)
    try:
        return apps.register(body)
    except UnusableImageError as error:
        raise BadRequestError(UNUSABLE, doing=error.message) from error


def _pulled(application: Application, node: str | None, prefetch: Prefetch | None) -> Record:
    pulling = prefetch(application, node) if prefetch is not None else False
    return {**application.document(), "pulling": pulling}
