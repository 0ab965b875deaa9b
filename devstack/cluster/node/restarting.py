"""Whether and when a container that has ended starts again."""

from __future__ import annotations

import datetime

from devstack.cluster.node.container import Container, Ending
from devstack.cluster.node.host import Host
from devstack.cluster.objects import Object

STABLE = datetime.timedelta(minutes=10)
MAX_DOUBLINGS = 16


def restarts(container: Container, ending: Ending, policy: str) -> bool:
    """Whether the pod's policy brings it back."""
    if container.state.is_sidecar:
        return True
    if container.state.role == "init":
        return ending.status != 0 and policy != "Never"
    return policy == "Always" or (policy == "OnFailure" and ending.status != 0)


def next_delay(container: Container, started: str, host: Host) -> float:
    """Seconds until the next start: none the first time, then doubling; one that ran long enough begins anew.

    `started` is an RFC 3339 time.
    """
    if host.store.clock() - datetime.datetime.fromisoformat(started.replace("Z", "+00:00")) > STABLE:
        # A container that never ran has the epoch as its start.
        container.retries = 0 if not started.startswith("1970") else container.retries
    container.retries += 1
    if container.retries == 1:
        return 0.0
    delays = host.options.delays
    seconds: float = min(delays.crash_retry * 2 ** min(container.retries - 2, MAX_DOUBLINGS), delays.retry_max)
    return seconds


def back_off_texts(pod: Object, container: str, seconds: float) -> tuple[str, str]:
    """The message of the event and that of the waiting state."""
    metadata = pod["metadata"]
    name = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
    return (
        f"Back-off restarting failed container {container} in pod {name}",
        f"back-off {seconds:g}s restarting failed container={container} pod={name}",
    )
