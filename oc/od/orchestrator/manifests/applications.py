"""Applications: ephemeral containers of the desktop pod, and pods of their own (orchestration.md 7.2 to 7.5)."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from oc.model import names
from oc.model.identity import ClientInfo, Identity, PosixAccount
from oc.od.orchestrator.manifests import (
    checks,
    entries,
    environment,
    executeclass,
    labels,
    naming,
    posix,
    security,
    templates,
    volumes,
)
from oc.od.orchestrator.manifests.desktop import init_mounts
from oc.od.orchestrator.manifests.types import (
    ApplicationRecord,
    ApplicationRequest,
    Built,
    DesktopFacts,
    HomeVolume,
    Json,
    ManifestError,
    NetworkRules,
    SecretRef,
)
from oc.od.settings import Settings
from oc.od.settings.pod import ContainerSettings

EPHEMERAL: Final = "ephemeral_container"
POD: Final = "pod_application"
POD_COMMAND: Final = ("/composer/appli-docker-entrypoint.sh",)
_NETWORK_STATUS: Final = ("k8s.v1.cni.cncf.io/network-status", "k8s.v1.cni.cncf.io/networks-status")


@dataclass(frozen=True)
class _Start:
    """One start of one application: what both classes need."""

    settings: Settings
    identity: Identity
    client: ClientInfo
    account: PosixAccount
    app: ApplicationRecord
    request: ApplicationRequest
    desktop: DesktopFacts
    found: volumes.Sources
    entry: ContainerSettings
    selected: executeclass.Selected
    home: str


def desktop_facts(pod: Mapping[str, Any]) -> DesktopFacts:
    """What an application needs to know of a desktop, from the pod as the API returns it.

    Raises ManifestError for a pod without address or without graphical container: it cannot take applications.
    """
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    own = metadata.get("labels") or {}
    ip = _interface_ip(metadata.get("annotations") or {}) or status.get("podIP") or ""
    graphical = next((one for one in spec.get("containers", []) if one["name"].startswith("x")), None)
    if not ip or graphical is None:
        raise ManifestError("the desktop is not ready to run applications")
    return DesktopFacts(
        name=metadata["name"],
        ip=ip,
        node=spec.get("nodeName") or "",
        graphical=graphical["name"],
        xauthkey=own.get("xauthkey", ""),
        pulseaudio_cookie=own.get("pulseaudio_cookie", ""),
        broadcast_cookie=own.get("broadcast_cookie", ""),
        volumes=frozenset(volume["name"] for volume in spec.get("volumes") or []),
        resources=copy.deepcopy(graphical.get("resources") or {}),
    )


def _interface_ip(annotations: Mapping[str, str]) -> str | None:
    """Address of ``eth0`` in the network status annotation (Kubernetes Network Custom Resource Definition, 4.1)."""
    for key in _NETWORK_STATUS:
        try:
            networks = json.loads(annotations.get(key) or "[]")
        except ValueError:
            continue
        for network in networks if isinstance(networks, list) else []:
            if isinstance(network, dict) and network.get("interface") == "eth0":
                ips = network.get("ips")
                first = ips[0] if isinstance(ips, list) and ips else ips
                if isinstance(first, str) and first:
                    return first
    return None


def ephemeral_container(
    settings: Settings,
    identity: Identity,
    client: ClientInfo,
    account: PosixAccount,
    app: ApplicationRecord,
    request: ApplicationRequest,
    desktop: DesktopFacts,
    suffix: str,
    secrets: Sequence[SecretRef],
    home: HomeVolume,
) -> Built:
    """One entry of ``ephemeralContainers``; send it with ``ephemeral_patch``.

    suffix: 5 lower-case hex digits. A mount whose volume the live pod lacks is left out with a warning, since the API
    would refuse the whole container. Raises ManifestError when the home is mounted with a subPath, which Kubernetes
    does not allow here, or when applications of this class are not permitted.
    """
    if home.sub_path is not None:
        raise ManifestError(
            "desktop.persistentvolumeclaimforcesubpath does not go with applications as ephemeral containers"
        )
    start = _start(settings, identity, client, account, app, request, desktop, secrets, home, EPHEMERAL)
    context, warnings = security.for_application(start.entry.security_context, app.securitycontext, account)
    mounts = _mounts(start, EPHEMERAL)
    warnings += [*start.found.warnings, *mounts.warnings]
    mounted = []
    for one, mount in zip(mounts.items, mounts.manifest(), strict=True):
        if one.name not in desktop.volumes:
            warnings.append(f"{one.name!r} is not mounted: the running desktop does not have this volume")
        elif "subPath" in mount or "subPathExpr" in mount:
            warnings.append(f"{one.name!r} is not mounted: an ephemeral container cannot mount a sub-path")
        else:
            mounted.append(mount)
    env = _environment(start, display=":0.0", sound=settings.desktop.pulseaudiosocketpath)
    resources = {"limits": desktop.resources.get("limits"), "requests": desktop.resources.get("requests")}
    _finish(env, EPHEMERAL, resources, None)
    container: Json = {
        "name": naming.application_container_name(identity.name or account.uid, app.name, suffix),
        "image": app.id,
        "imagePullPolicy": start.entry.image_pull_policy,
        "targetContainerName": desktop.graphical,
        "workingDir": start.home,
        "env": env.manifest(),
        "volumeMounts": mounted,
    }
    if app.cmd:
        container["command"] = list(app.cmd)
    if container_context := security.container_level(context):
        container["securityContext"] = container_context
    checks.check_container(container, desktop.volumes)
    return Built(container, tuple(dict.fromkeys([*warnings, *env.warnings])))


def ephemeral_patch(container: Mapping[str, Any]) -> Json:
    """Strategic merge patch of the pod's ``ephemeralcontainers`` subresource that adds ``container``."""
    return {"spec": {"ephemeralContainers": [copy.deepcopy(dict(container))]}}


def application_pod(
    settings: Settings,
    identity: Identity,
    client: ClientInfo,
    account: PosixAccount,
    app: ApplicationRecord,
    request: ApplicationRequest,
    desktop: DesktopFacts,
    suffix: str,
    secrets: Sequence[SecretRef],
    home: HomeVolume,
    network: NetworkRules,
) -> Built:
    """A pod that runs one application beside the desktop; parameters as ``ephemeral_container``.

    network: ``network_rules`` of the user with the application's ``rules`` as overlay.
    """
    start = _start(settings, identity, client, account, app, request, desktop, secrets, home, POD)
    context, warnings = security.for_application(start.entry.security_context, app.securitycontext, account)
    mounts = _mounts(start, POD)
    warnings += [*start.found.warnings, *mounts.warnings]
    if start.selected.warning:
        warnings.append(start.selected.warning)
    if not home.persistent:
        warnings.append("the home is not shared with the desktop: the application gets an empty one")
    name = naming.application_pod_name(account.uid, app.name, suffix)
    container = _pod_container(start, name, mounts, context, warnings)
    init = _init(start)
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": settings.kubernetes.namespace,
            "annotations": dict(network.annotations),
            "labels": _labels(start),
        },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            **_placement(start),
            "securityContext": security.pod_level({k: v for k, v in context.items() if k != "runAsNonRoot"}),
            "volumes": volumes.declare(mounts.items, init[1].items if init else []),
            **({"initContainers": [init[0]]} if init else {}),
            "containers": [container],
        },
    }
    checks.check_pod(pod)
    return Built(pod, tuple(dict.fromkeys(warnings)))


def _start(
    settings: Settings,
    identity: Identity,
    client: ClientInfo,
    account: PosixAccount,
    app: ApplicationRecord,
    request: ApplicationRequest,
    desktop: DesktopFacts,
    secrets: Sequence[SecretRef],
    home: HomeVolume,
    kind: str,
) -> _Start:
    posix.checked(account)
    entry = entries.active_entries(settings, identity).get(kind)
    if entry is None:
        raise ManifestError(f"desktop.pod.{kind} is not enabled for your labels", status=403)
    rules = volumes.volume_rules(settings, app.rules)
    return _Start(
        settings=settings,
        identity=identity,
        client=client,
        account=account,
        app=app,
        request=request,
        desktop=desktop,
        found=volumes.sources(settings, identity, account, secrets, home, rules),
        entry=entry,
        selected=executeclass.select(settings, identity.labels, app.executeclassname),
        home=posix.home_directory(settings, account),
    )


def _mounts(start: _Start, kind: str) -> volumes.Mounts:
    """Home, account files, asked-for secrets, the entry's own volume list, policy volumes."""
    found, mounts = start.found, volumes.Mounts(kind)
    mounts.add(*found.home, None if found.account_in_init_only else found.account)
    mounts.require([*start.entry.secrets_requirement, *(start.app.secrets_requirement or ())], found)
    mounts.add_keys(start.entry.volumes or (), found)
    mounts.add(*found.policies, found.localtime)
    return mounts


def _environment(start: _Start, *, display: str, sound: str) -> environment.Environment:
    """Everything up to the field references (7.3)."""
    desktop, app, account = start.desktop, start.app, start.account
    env = environment.Environment()
    env.configure(start.settings.desktop.envlocal, templates.posix_context(account))
    env.set(
        DISPLAY=display,
        CONTAINER_IP_ADDR=desktop.ip,
        XAUTH_KEY=desktop.xauthkey,
        BROADCAST_COOKIE=desktop.broadcast_cookie,
        PULSEAUDIO_COOKIE=desktop.pulseaudio_cookie,
        PULSE_SERVER=sound,
        CUPS_SERVER=f"{_host(desktop.ip)}:631",
        UNIQUERUNKEY=app.uniquerunkey,
        HOME=start.home,
        LOGNAME=account.uid,
        USER=account.uid,
    )
    environment.set_locale(env, start.client.locale)
    env.set(
        PARENT_ID=desktop.name,
        PARENT_HOSTNAME=desktop.node,
        APP=app.path,
        TZ=start.request.timezone,
        APPARGS=start.request.args,
        ARGS=_arguments(app.args),
    )
    env.merge(start.request.overwrite)
    env.references()
    return env


def _finish(env: environment.Environment, kind: str, resources: Mapping[str, Any], runtime_class: str | None) -> None:
    env.set(
        ABCDESKTOP_EXECUTE_RUNTIME=kind,
        ABCDESKTOP_EXECUTE_RESOURCES=environment.to_json(resources),
        ABCDESKTOP_RUNTIME_CLASSNAME=runtime_class,
    )


def _arguments(args: Sequence[str] | str | None) -> str | None:
    """Default arguments as one line: a single text is taken as written, several are quoted where needed."""
    if args is None or isinstance(args, str):
        return args
    return args[0] if len(args) == 1 else shlex.join(args)


def _host(ip: str) -> str:
    """An address as it stands before ``:port``."""
    return f"[{ip}]" if ":" in ip else ip


def _pod_container(
    start: _Start, name: str, mounts: volumes.Mounts, context: Mapping[str, Any], warnings: list[str]
) -> Json:
    host = _host(start.desktop.ip)
    resources = executeclass.merged(
        executeclass.class_resources(start.selected),
        executeclass.container_resources(start.selected, POD, start.entry.resources),
    )
    env = _environment(start, display=f"{host}:0", sound=f"{host}:4713")
    _finish(env, POD, resources, _runtime_class(start))
    warnings.extend(env.warnings)
    container: Json = {
        "name": name,
        "image": start.app.id,
        "imagePullPolicy": start.entry.image_pull_policy,
        "command": list(POD_COMMAND),
        "workingDir": start.home,
        "env": env.manifest(),
        "volumeMounts": mounts.manifest(),
    }
    if resources:
        container["resources"] = resources
    own = security.container_level(context, with_shared=False)
    if "runAsNonRoot" in context:  # on the pod it would stop the init container, which runs as root
        own["runAsNonRoot"] = context["runAsNonRoot"]
    if own:
        container["securityContext"] = own
    return container


def _runtime_class(start: _Start) -> str | None:
    of_class = start.selected.execute_class.runtime_class_name
    return start.app.runtimeClassName or start.entry.runtime_class_name or of_class


def _labels(start: _Start) -> dict[str, str]:
    result = {
        "type": labels.APPLICATION_TYPE,
        **labels.identity_labels(start.identity),
        "netpol/ocapplication": "true",
    }
    unique = names.label_value(start.app.uniquerunkey or "")
    return {**result, "uniquerunkey": unique} if unique else result


def _placement(start: _Start) -> Json:
    """Where the pod may run: preferably on the desktop's node; what the configuration says wins."""
    prefer = {
        "key": "kubernetes.io/hostname",
        "operator": "In",
        "values": [start.desktop.node],
    }
    near = [{"weight": 1, "preference": {"matchExpressions": [prefer]}}]
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": near}} if start.desktop.node else {}
    fields = executeclass.pod_fields(start.selected)
    affinity = {**affinity, **fields.pop("affinity", {}), **copy.deepcopy(dict(start.entry.affinity))}
    runtime_class = _runtime_class(start)
    placement: Json = {
        **fields,
        **({"runtimeClassName": runtime_class} if runtime_class else {}),
        "nodeSelector": executeclass.node_selector(start.settings, start.selected, start.entry.node_selector),
        "tolerations": executeclass.tolerations(start.selected, start.entry.tolerations),
    }
    if affinity:
        placement["affinity"] = affinity
    pull = entries.pull_secrets(start.settings, start.entry)
    if pull:
        placement["imagePullSecrets"] = pull
    return placement


def _init(start: _Start) -> tuple[Json, volumes.Mounts] | None:
    """The desktop's init container before the application's, with HOME and LOGNAME only; None without a command."""
    active = entries.active_entries(start.settings, start.identity)
    entry = active.get("init")
    if entry is None or not entry.command:
        return None
    env = environment.Environment()
    env.set(HOME=start.home, LOGNAME=start.account.uid)
    mounts = init_mounts(active, start.found)
    container: Json = {
        "name": entries.container_name("init"),
        "image": entries.image(active, "init", start.identity),
        "imagePullPolicy": entry.image_pull_policy,
        "command": templates.render(list(entry.command), templates.posix_context(start.account), templates.command),
        "env": env.manifest(),
        "volumeMounts": mounts.manifest(),
    }
    context = security.container_level(security.rendered(entry.security_context, start.account))
    if context:
        container["securityContext"] = context
    return container, mounts
