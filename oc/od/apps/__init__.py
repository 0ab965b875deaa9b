"""The application catalogue: container images described by their labels, kept in MongoDB (spec services.md 5)."""

from __future__ import annotations

from oc.od.apps.catalogue import ApplicationCatalogue
from oc.od.apps.model import Application
from oc.od.apps.snapshot import Catalogue
from oc.od.apps.views import UserView

__all__ = ["Application", "ApplicationCatalogue", "Catalogue", "UserView"]
