"""Fills the status of resource quotas: what a namespace may hold and what it holds."""

from __future__ import annotations

import asyncio

from devstack.cluster.limits import usage
from devstack.cluster.objects import Object
from devstack.cluster.resources import RESOURCES
from devstack.cluster.store import DELETED, MissingError, Store

REFRESH_SECONDS = 0.5


class QuotaController:
    """Refreshes while there is a quota; costs nothing while there is none."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def follow(self) -> None:
        """Follow until cancelled."""
        subscription = self._store.subscribe("resourcequotas")
        try:
            while True:
                quotas = self._store.list("resourcequotas")
                for quota in quotas:
                    self._refresh(quota)
                for change in subscription.take():
                    if change.type != DELETED:
                        current = self._store.get("resourcequotas", change.item.namespace, change.item.name)
                        if current is not None:
                            self._refresh(current)
                if quotas:
                    await asyncio.sleep(REFRESH_SECONDS)
                else:
                    await subscription.wait()
        finally:
            subscription.close()

    def _refresh(self, quota: Object) -> None:
        metadata = quota["metadata"]
        hard = quota["spec"].get("hard") or {}
        used = usage(self._store, metadata["namespace"], hard, RESOURCES)

        def write(obj: Object) -> None:
            obj["status"] = {"hard": hard, "used": used}

        try:
            self._store.update("resourcequotas", metadata["namespace"], metadata["name"], write)
        except MissingError:
            return
