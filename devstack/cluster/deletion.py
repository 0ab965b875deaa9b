"""How objects go: grace periods, finalizers, and what hangs on them (ownerReferences)."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from devstack.cluster.objects import Object, timestamp
from devstack.cluster.store import Item, Store, is_done

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"


@dataclass(frozen=True)
class DeleteOptions:
    """metav1.DeleteOptions; `grace_s` None: the object's own."""

    grace_s: int | None = None
    uid: str | None = None
    version: str | None = None
    propagation: str = ""
    dry_run: bool = False


def grace_of(kind: str, obj: Object, wanted: int | None) -> int:
    """The grace period in seconds a deletion gets; 0: at once."""
    if kind != "pods":
        return 0
    spec, phase = obj.get("spec") or {}, (obj.get("status") or {}).get("phase")
    grace = spec.get("terminationGracePeriodSeconds", 30) if wanted is None else wanted
    if not spec.get("nodeName") or phase in ("Failed", "Succeeded"):
        return 0
    return 1 if grace < 0 else int(grace)


def delete(store: Store, kind: str, item: Item, options: DeleteOptions) -> tuple[Object, bool]:
    """Begin (or finish) the deletion of an object; (its last state, whether it is gone)."""
    obj = item.obj
    metadata = obj["metadata"]
    grace = grace_of(kind, obj, options.grace_s)
    finalizers = list(metadata.get("finalizers") or ())
    if options.propagation == "Foreground" and FOREGROUND not in finalizers and _has_dependents(store, metadata["uid"]):
        finalizers.append(FOREGROUND)
    if options.propagation == "Orphan":
        _orphan(store, metadata["uid"])
    if kind not in ("pods", "namespaces") and not finalizers and not options.dry_run:
        return store.remove_now(kind, item), True
    changed = _marked(store, kind, obj, grace, finalizers)
    if kind == "namespaces":
        changed.setdefault("status", {})["phase"] = "Terminating"
    if options.dry_run:
        return changed, False
    if is_done(kind, changed) and (grace == 0 or kind != "pods"):
        removed = store.remove_now(kind, item)
        changed["metadata"]["resourceVersion"] = removed["metadata"]["resourceVersion"]
        return changed, True
    if changed == obj:
        return obj, False
    return store.replace(kind, item, changed, remove_done=False), False


def _marked(store: Store, kind: str, obj: Object, grace: int, finalizers: list[str]) -> Object:
    """The object as it looks once its deletion has begun (or been hastened)."""
    old = obj["metadata"]
    metadata = dict(old)
    now = store.clock()
    first = not old.get("deletionTimestamp")
    if finalizers:
        metadata["finalizers"] = finalizers
    if first or grace < old.get("deletionGracePeriodSeconds", 0):
        metadata["deletionTimestamp"] = timestamp(now + datetime.timedelta(seconds=grace))
        if kind != "namespaces":
            metadata["deletionGracePeriodSeconds"] = grace
    if first and "generation" in metadata:
        metadata["generation"] += 1
    return {**obj, "metadata": metadata, **({"status": dict(obj["status"])} if "status" in obj else {})}


def _has_dependents(store: Store, uid: str) -> bool:
    return bool(store.owned_by(uid))


def _orphan(store: Store, uid: str) -> None:
    for kind, namespace, name in store.owned_by(uid):

        def cut(obj: Object) -> None:
            rest = [r for r in obj["metadata"].get("ownerReferences") or () if r["uid"] != uid]
            if rest:
                obj["metadata"]["ownerReferences"] = rest
            else:
                obj["metadata"].pop("ownerReferences", None)

        store.update(kind, namespace, name, cut)


def collect_dependents(store: Store, uid: str) -> list[str]:
    """Delete what the object with this uid owned alone; what has another owner alive only loses the reference.

    Call it when the owner is gone.  The answer names what was deleted.
    """
    deleted: list[str] = []
    for kind, namespace, name in store.owned_by(uid):
        item = store.item(kind, namespace, name)
        if item is None:
            continue
        rest = [r for r in item.obj["metadata"].get("ownerReferences") or () if r["uid"] != uid]
        if rest:

            def cut(obj: Object, rest: list[Object] = rest) -> None:
                obj["metadata"]["ownerReferences"] = rest

            store.update(kind, namespace, name, cut)
        else:
            delete(store, kind, item, DeleteOptions())
            deleted.append(f"{kind}/{name}")
    return deleted
