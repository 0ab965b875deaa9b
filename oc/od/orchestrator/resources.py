"""The kinds pyos deals with, as the API addresses them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API addresses it; ``group`` is ``""`` for the core group."""

    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True

    @property
    def root(self) -> str:
        """Path prefix, without namespace."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


PODS = Resource("pods")
SECRETS = Resource("secrets")
CONFIGMAPS = Resource("configmaps")
EVENTS = Resource("events")
CLAIMS = Resource("persistentvolumeclaims")
VOLUMES = Resource("persistentvolumes", namespaced=False)
NODES = Resource("nodes", namespaced=False)
STORAGE_CLASSES = Resource("storageclasses", "storage.k8s.io", namespaced=False)
