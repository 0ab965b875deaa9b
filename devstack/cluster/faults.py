"""Faults on order, and what the server saw: the state behind the admin endpoint."""

from __future__ import annotations

import fnmatch
import random
import time
import zlib
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from devstack.cluster.objects import Object
from devstack.cluster.requestinfo import RequestInfo
from devstack.cluster.runtime import PodBehaviour

LOG_LENGTH = 20_000


class FaultRule(msgspec.Struct, forbid_unknown_fields=True):
    """What happens to the requests that fit.  Patterns are shell globs; "*" fits all.

    `resource` is plural, with its subresource: pods, pods/exec.  `latency_s` comes before the answer.  `status`: this
    HTTP status instead of the real answer (409, 410, 429, 500, 503, ...), with `after` only once the request was
    carried out.  `drop`: the connection is cut instead (with `after`: once carried out).  `count`: how many requests
    (None: until removed).  `share`: of the requests that fit, by chance; the others go on to the next rule.
    `per_second`: as many are let through, more wait for their turn, and get 429 when that is over `queue_s` away.
    """

    verb: str = "*"
    resource: str = "*"
    name: str = "*"
    namespace: str = "*"
    user: str = "*"
    latency_s: float = 0.0
    status: int = 0
    message: str = ""
    retry_after_s: int | None = None
    after: bool = False
    drop: bool = False
    count: int | None = None
    share: float = 1.0
    per_second: float = 0.0
    queue_s: float = 1.0

    def fits(self, info: RequestInfo, user: str) -> bool:
        return (
            fnmatch.fnmatchcase(info.verb, self.verb)
            and fnmatch.fnmatchcase(info.full_resource, self.resource)
            and fnmatch.fnmatchcase(info.name, self.name)
            and fnmatch.fnmatchcase(info.namespace, self.namespace)
            and fnmatch.fnmatchcase(user, self.user)
        )


class PodRule(msgspec.Struct, forbid_unknown_fields=True):
    """Which pods (or containers) behave how: see runtime.PodBehaviour for what the behaviours mean.

    `labels`: all must be there with these values.  `name`, `namespace`, `image`: globs (`image` of the container that
    is about to start, or of any of the pod's).  `count`: for how many pods, None: for all.  `spread_s`: each pod
    takes up to so much longer than `start_after_s` and `ready_after_s`, always the same for one pod.
    """

    labels: dict[str, str] = {}
    name: str = "*"
    namespace: str = "*"
    image: str = "*"
    unschedulable: bool = False
    ready_after_s: float = 0.0
    start_after_s: float = 0.0
    spread_s: float = 0.0
    never_ready: bool = False
    failure: str = ""
    container: str = ""
    after_s: float = 0.0
    message: str = ""
    exit_code: int = 1
    count: int | None = None

    def fits(self, pod: Object, container: str | None, image: str | None) -> bool:
        metadata = pod["metadata"]
        labels = metadata.get("labels") or {}
        if any(labels.get(key) != value for key, value in self.labels.items()):
            return False
        if self.container and container is not None and self.container != container:
            return False
        if not fnmatch.fnmatchcase(metadata["name"], self.name):
            return False
        if not fnmatch.fnmatchcase(metadata.get("namespace", ""), self.namespace):
            return False
        if self.image == "*":
            return True
        spec = pod.get("spec") or {}
        images = [image] if image else [c.get("image", "") for c in spec.get("containers") or ()]
        return any(fnmatch.fnmatchcase(text, self.image) for text in images)

    def behaviour(self, uid: str) -> PodBehaviour:
        longer = self.spread_s * zlib.crc32(uid.encode()) / 2**32
        return PodBehaviour(
            unschedulable=self.unschedulable,
            start_after_s=self.start_after_s and self.start_after_s + longer,
            ready_after_s=self.ready_after_s and self.ready_after_s + longer,
            never_ready=self.never_ready,
            failure=self.failure,
            container=self.container,
            after_s=self.after_s,
            message=self.message,
            exit_code=self.exit_code,
        )


@dataclass
class Seen:
    """One request as the log keeps it; no bodies, no tokens."""

    time: float
    verb: str
    resource: str
    namespace: str
    name: str
    user: str
    status: int
    user_agent: str
    label_selector: bool
    duration_ms: float
    dry_run: bool = False


class Faults:
    """All rules and the request log."""

    def __init__(self) -> None:
        self.rules: list[FaultRule] = []
        self.pod_rules: list[PodRule] = []
        self.log: deque[Seen] = deque(maxlen=LOG_LENGTH)
        self.counters: Counter[str] = Counter()
        self._pods_hit: dict[int, set[str]] = {}
        self._turns: dict[int, float] = {}

    def rule_for(self, info: RequestInfo, user: str) -> FaultRule | None:
        """The first rule that fits; it counts down."""
        for rule in self.rules:
            if rule.count != 0 and rule.fits(info, user) and (rule.share >= 1 or random.random() < rule.share):
                if rule.count is not None:
                    rule.count -= 1
                return rule
        return None

    def turn(self, rule: FaultRule) -> float | None:
        """Seconds until a request may go on under a rule with `per_second`; None: too long, it is refused."""
        now = time.monotonic()
        turn = max(now, self._turns.get(id(rule), 0.0))
        if turn - now > rule.queue_s:
            return None
        self._turns[id(rule)] = turn + 1 / rule.per_second
        return turn - now

    def behaviour_of(self, pod: Object, container: str | None = None, image: str | None = None) -> PodBehaviour:
        """The behaviour of the first pod rule that fits; a pod that was counted keeps its rule."""
        uid = pod["metadata"].get("uid", "")
        for rule in self.pod_rules:
            if not rule.fits(pod, container, image):
                continue
            hit = self._pods_hit.setdefault(id(rule), set())
            if rule.count is not None and uid not in hit and len(hit) >= rule.count:
                continue
            hit.add(uid)
            return rule.behaviour(uid)
        return PodBehaviour()

    def record(self, seen: Seen) -> None:
        self.log.append(seen)
        self.counters[f"{seen.verb} {seen.resource} {seen.status}"] += 1

    def reset_log(self) -> None:
        self.log.clear()
        self.counters.clear()

    def reset(self) -> None:
        """No rules, no log."""
        self.rules.clear()
        self.pod_rules.clear()
        self._pods_hit.clear()
        self._turns.clear()
        self.reset_log()

    def describe_log(self) -> list[dict[str, Any]]:
        return [asdict(seen) for seen in self.log]
