"""Commands run when a desktop was made and when it is gone (spec orchestration.md 5.9, 9.2)."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final
from urllib.parse import quote

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.model.identity import Identity
from oc.od.commandline import CommandError, Outcome, make_command, names_in, run_command
from oc.od.orchestrator import Desktop, Orchestrator
from oc.od.orchestrator.manifests.network import network_rules
from oc.od.orchestrator.podmodel import Pod
from oc.od.settings import Settings
from oc.sharecache import ShareCache

logger = logging.getLogger(__name__)

Template = str | Sequence[str]

MAX_COMMANDS: Final = 16
WORKERS: Final = 8
MAX_WAITING: Final = 512
COMMAND_SECONDS: Final = 60.0
STORE_SECONDS: Final = 10.0
MAX_STORED_VALUE: Final = 1024
ANNOTATION: Final = "abcdesktop/webhook"
"""On a desktop's pod: what its ``destroy`` commands need, as JSON ``{"labels": [..], "values": {..}}``. The commands
themselves and ``desktop.webhookdict`` stay in the configuration: who may write annotations may not choose commands,
who may read them learns no secret.
"""


class Webhooks:
    """Runs the commands of ``desktop.policies.rules.network`` in a bounded pool. A failure is only reported."""

    def __init__(
        self,
        settings: Settings,
        orchestrator: Orchestrator,
        sharecache: ShareCache,
        *,
        seconds: float = COMMAND_SECONDS,
    ) -> None:
        self._settings = settings
        self._orchestrator = orchestrator
        self._sharecache = sharecache
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(WORKERS, "webhook")
        self._room = threading.BoundedSemaphore(MAX_WAITING)

    def stop(self) -> None:
        """Drop what waits; what runs has its time."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def created(self, desktop: Desktop, identity: Identity, progress: Callable[[str], None]) -> Callable[[], None]:
        """Run the ``create`` commands for a desktop that runs; call the result to wait for their end.

        What ``destroy`` needs is stored before: what was opened can be closed.
        """
        labels = self._labels(identity)
        create, destroy = self._templates(labels, "create"), self._templates(labels, "destroy")
        if not create and not destroy:
            return lambda: None
        progress("c.Updating network services")
        values = self._values(desktop, identity)
        if destroy:
            self._store(desktop, labels, {name: values.get(name, "") for one in destroy for name in names_in(one)})
        running = self._start(create, values, f"create of {desktop.name}")

        def finish() -> None:
            wait(running, timeout=self._seconds + 1)

        return finish

    def destroyed(self, pod: Pod) -> None:
        """Run the ``destroy`` commands of a desktop that is gone. Returns at once. Call it once over all replicas."""
        text = pod.metadata.annotations.get(ANNOTATION) or self._sharecache.get(_key(pod.name))
        if not text:
            return
        found = _stored(text)
        if found is None:
            logger.error("what the destroy webhook of %s needs is not readable", pod.name)
            return
        labels, values = found
        running = self._start(self._templates(labels, "destroy"), values, f"destroy of {pod.name}")
        done = threading.Lock()
        left = len(running)

        def one_done(future: Future[bool]) -> None:
            nonlocal left
            with done:
                left -= 1 if not future.cancelled() and future.result() else 0
                if left == 0:
                    self._sharecache.delete(_key(pod.name))

        for future in running:
            future.add_done_callback(one_done)

    # -- what is run ---------------------------------------------------------------------------------------------

    def _labels(self, identity: Identity) -> list[str]:
        """The user's labels that a network rule asks for."""
        return [label for label in self._settings.policies.rules.network if label in identity.labels]

    def _templates(self, labels: Sequence[str], when: str) -> list[Template]:
        given = network_rules(self._settings, dict.fromkeys(labels, "true")).webhook.get(when)
        if not given:
            return []
        return [given] if isinstance(given, str) else list(given)[:MAX_COMMANDS]

    def _values(self, desktop: Desktop, identity: Identity) -> dict[str, str]:
        """What templates may use. What the operator names wins over what the user's directory says."""
        values: dict[str, str] = {}
        try:
            values.update({key: text for key, text in self._orchestrator.ldif(identity).items() if _is_short(text)})
        except ODError as error:
            logger.warning("webhooks of %s go without the user's attributes: %s", desktop.name, error)
        values.update(userid=identity.userid, name=identity.name)
        described = {
            "id": desktop.name,
            "uid": desktop.uid,
            "status": desktop.status,
            "ipAddr": desktop.ip,
            "nodehostname": desktop.node,
            "hostname": desktop.hostname,
            "container_id": desktop.container_id,
            "container_name": desktop.container_name,
            "fqdn": desktop.fqdn,
            "internaluri": desktop.internaluri,
            "websocketrouting": desktop.websocketrouting,
            "websocketroute": desktop.websocketroute,
            "creation_timestamp": desktop.creation_timestamp,
            "lastlogin_datetime": desktop.lastlogin_datetime,
        }
        values.update({key: text for key, text in described.items() if text})
        values.update({name: text for name, facts in desktop.interfaces.items() if (text := _first_ip(facts))})
        values.update(podname=desktop.name, provider=identity.provider, providertype=identity.providertype, protocol="")
        return values

    def _start(self, templates: Sequence[Template], values: Mapping[str, str], what: str) -> list[Future[bool]]:
        if self._settings.desktop.webhookencodeparams:
            values = {name: quote(text, safe="") for name, text in values.items()}
        values = {**values, **self._settings.desktop.webhookdict}
        started: list[Future[bool]] = []
        for number, template in enumerate(templates, 1):
            if not self._room.acquire(blocking=False):
                logger.error("webhook %d, %s, is not run: too many wait", number, what)
                continue
            future = self._pool.submit(self._run, template, values, f"webhook {number}, {what}")
            future.add_done_callback(lambda _: self._room.release())
            started.append(future)
        return started

    def _run(self, template: Template, values: Mapping[str, str], what: str) -> bool:
        """Whether the command ended with 0. The command itself is never logged: it may hold secrets."""
        try:
            command = make_command(template, values)
        except CommandError as error:
            logger.error("%s is not run: %s", what, error)
            return False
        outcome = run_command(command, timeout=self._seconds)
        if outcome.exit_code == 0:
            logger.info("%s: done in %.1f s", what, outcome.seconds)
            return True
        logger.error("%s: %s", what, _told(outcome, self._seconds))
        return False

    def _store(self, desktop: Desktop, labels: Sequence[str], values: Mapping[str, str]) -> None:
        constants = self._settings.desktop.webhookdict
        kept = {name: text[:MAX_STORED_VALUE] for name, text in values.items() if name not in constants}
        text = json.dumps({"labels": list(labels), "values": kept}, ensure_ascii=False)
        self._sharecache.set(_key(desktop.name), text, 0)
        try:
            self._orchestrator.annotate_desktop(desktop, {ANNOTATION: text}, Deadline(STORE_SECONDS))
        except ODError as error:
            logger.error("the destroy webhook of %s is in the cache only: %s", desktop.name, error)


def _key(name: str) -> str:
    return f"webhook.{name}"


def _is_short(text: object) -> bool:
    return isinstance(text, str) and len(text) <= MAX_STORED_VALUE


def _first_ip(facts: Mapping[str, Any]) -> str:
    ips = facts.get("ips")
    first = ips[0] if isinstance(ips, list) and ips else ips
    return first if isinstance(first, str) else ""


def _stored(text: str) -> tuple[list[str], dict[str, str]] | None:
    """Read the annotation: anybody with the right may have written it."""
    try:
        found = json.loads(text)
        labels, values = found["labels"], found["values"]
    except (ValueError, TypeError, KeyError):
        return None
    if not isinstance(labels, list) or not isinstance(values, dict):
        return None
    return [str(label) for label in labels], {str(name): str(value) for name, value in values.items()}


def _told(outcome: Outcome, seconds: float) -> str:
    if outcome.exit_code is None:
        return f"not ended in {seconds:g} s" if outcome.seconds else "cannot be started"
    return f"exit status {outcome.exit_code}, {len(outcome.output)} bytes of output"
