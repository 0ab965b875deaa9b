"""Writing a pod's status to the store."""

from __future__ import annotations

from devstack.cluster.node.host import Host
from devstack.cluster.node.status import TERMINAL_PHASES, PodState, build_status, phase_of
from devstack.cluster.objects import Object, timestamp


def write_status(host: Host, pod: Object, state: PodState, *, final: bool) -> Object | None:
    """Write the status and give the stored pod; None when the pod is gone or nothing has changed.

    A terminal phase is written only with `final`: when nothing runs any more. Before that its reasons are shown.
    """
    metadata = pod["metadata"]
    item = host.store.item("pods", metadata["namespace"], metadata["name"])
    if item is None or item.obj["metadata"]["uid"] != metadata["uid"]:
        return None
    current = item.obj
    before = current.get("status") or {}
    phase = shown = phase_of(state, str(current["spec"].get("restartPolicy", "Always")))
    if phase in TERMINAL_PHASES and not final:
        shown = before.get("phase", "Pending")
    elif final and phase == "Running":
        # A deleted pod that would have been restarted ends as what its containers came to.
        failed = any((entry.terminated or {}).get("exitCode") for entry in state.of_role("main"))
        phase = shown = "Failed" if failed else "Succeeded"
    known = {entry["type"]: entry["status"] for entry in before.get("conditions") or ()}
    for gate in current["spec"].get("readinessGates") or ():
        state.gates[gate["conditionType"]] = known.get(gate["conditionType"], "False")
    status = build_status(current, state, phase, shown, timestamp(host.store.clock()))
    if status == before:
        return None
    # The spec, by far the largest part, is shared with the previous version instead of copied.
    changed = {**current, "metadata": dict(current["metadata"]), "status": status}
    return host.store.replace("pods", item, changed)
