"""What the simulated nodes can be told: `ClusterConfig.node_options` in typed form."""

from __future__ import annotations

import fnmatch
from typing import Any

import msgspec

# What a node offers when nothing else is said: enough for a day's work, little enough to see it run full.
DEFAULT_CAPACITY = {"cpu": "256", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "1000"}


class ImageRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What becomes of containers whose image fits the glob `match`; the first rule that fits counts.

    `run`: "idle" (no process), "command" (the container's own command and args), or a list of words: this local
    command instead, the container's own words are not used.
    `name`: what the status shows as the image, when it is not the normalised name. `pull_s`: seconds a pull takes.
    """

    match: str
    run: str | list[str] = "idle"
    name: str = ""
    pull_s: float = 0.0


class ExecRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The answer to an exec whose words, joined by blanks, fit the glob `match` (and the image, container globs).

    `real` runs the command after all (a rule above a wider one). `when_ready`: status 1 until the container is ready.
    """

    match: str
    image: str = "*"
    container: str = "*"
    output: str = ""
    error: str = ""
    status: int = 0
    delay_s: float = 0.0
    real: bool = False
    idle_only: bool = True
    when_ready: bool = False


class NodeRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One node: capacity by resource name, labels, taints (`{key, value, effect}`)."""

    name: str
    capacity: dict[str, str] = {}
    labels: dict[str, str] = {}
    taints: list[dict[str, str]] = []
    unschedulable: bool = False


class Delays(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seconds the node takes; zero is as fast as it goes. `realistic_options` has those of a real one.

    `observe`: between the start of containers and the status that says so (a container that ends sooner is never shown
    running); `finish`: between the end of the last container and the pod's final phase; `kill`: between a deletion
    and the TERM signal; `image_back_off_shown`: between ErrImagePull and ImagePullBackOff.
    """

    schedule: float = 0.0
    sandbox: float = 0.0
    observe: float = 0.0
    finish: float = 0.02
    kill: float = 0.0
    image_back_off_shown: float = 0.02
    mount_retry: float = 0.5
    image_retry: float = 10.0
    crash_retry: float = 10.0
    retry_max: float = 300.0


class NodeOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of it. `isolation`: "auto" takes Linux namespaces where they work, "none" never does."""

    nodes: list[NodeRule] = msgspec.field(default_factory=lambda: [NodeRule(name="node1")])
    images: list[ImageRule] = []
    exec_answers: list[ExecRule] = []
    delays: Delays = Delays()
    isolation: str = "auto"
    allow_host_path: bool = False
    pod_network: str = "10.244.0.0/16"
    host_ip: str = "127.0.0.1"
    log_bytes: int = 1024 * 1024
    events_kept: int = 5_000
    missing_tags: str = "missing*"

    def image_rule(self, image: str) -> ImageRule:
        """The rule of an image; an image without one idles."""
        for rule in self.images:
            if fnmatch.fnmatchcase(image, rule.match):
                return rule
        return _IDLE

    def exec_rule(self, image: str, container: str, command: list[str], *, idle: bool) -> ExecRule | None:
        """The table's answer to an exec, None when it has none."""
        text = " ".join(command)
        for rule in self.exec_answers:
            if (
                fnmatch.fnmatchcase(text, rule.match)
                and fnmatch.fnmatchcase(image, rule.image)
                and fnmatch.fnmatchcase(container, rule.container)
                and (idle or not rule.idle_only)
            ):
                return rule
        return None


_IDLE = ImageRule(match="*")


def parse_options(options: dict[str, Any]) -> NodeOptions:
    """Raises msgspec.ValidationError with the place and the reason."""
    return msgspec.convert(options, NodeOptions)


def realistic_options() -> dict[str, Any]:
    """A node as slow as a small real one, whose containers all run their own command in one small image.

    This is what the recorded exchanges are replayed against.
    """
    return {
        "images": [{"match": "*", "run": "command", "name": "docker.io/library/busybox:2"}],
        "delays": {
            "schedule": 0.02,
            "sandbox": 0.3,
            "observe": 0.6,
            "finish": 0.4,
            "kill": 0.3,
            "image_back_off_shown": 0.6,
        },
    }


def desktop_exec_answers() -> list[dict[str, Any]]:
    """Answers that let an idle desktop container pass the product's readiness probes and usage readings."""
    probes = ["*supervisorctl status *", "*pidof *", "*wait-port*", "*healtz*", "*curl *"]
    return [*({"match": probe} for probe in probes), {"match": "*connectcount*", "output": "0\n"}]
