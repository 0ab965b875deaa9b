"""The desktop pod (orchestration.md 5)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oc.model.identity import ClientInfo, Identity, PosixAccount
from oc.od.orchestrator.manifests import (
    checks,
    entries,
    environment,
    executeclass,
    homes,
    labels,
    naming,
    posix,
    security,
    templates,
    volumes,
)
from oc.od.orchestrator.manifests.types import Built, Draw, HomeVolume, Json, ManifestError, NetworkRules, SecretRef
from oc.od.settings import Settings

SUBDOMAIN = "desktop"
"""Name of the headless Service in front of all desktops."""


@dataclass(frozen=True)
class _Parts:
    """What the functions below share while they build one pod."""

    settings: Settings
    identity: Identity
    account: PosixAccount
    active: entries.Entries
    selected: executeclass.Selected
    found: volumes.Sources
    env: list[Json]
    network: NetworkRules
    home: HomeVolume
    pod_level_resources: bool


def desktop_pod(
    settings: Settings,
    identity: Identity,
    client: ClientInfo,
    account: PosixAccount,
    draw: Draw,
    secrets: Sequence[SecretRef],
    home: HomeVolume,
    network: NetworkRules,
    *,
    pod_level_resources: bool,
    authorized_key: str | None = None,
    timezone: str = "",
) -> Built:
    """The whole desktop pod of a user.

    secrets: those of ``secret_ref`` for this user; exactly one ``localaccount``, the ``vnc`` one, and the ``auth``
    ones. pod_level_resources: put the execute class's CPU and memory on the pod (Kubernetes 1.34 and later), else on
    the graphical container. authorized_key: SSH public key of the user. timezone: a valid zone name or ``""``.

    Raises ManifestError when the configuration or the account makes no usable pod.
    """
    posix.checked(account)
    active = entries.active_entries(settings, identity)
    selected = executeclass.select(settings, identity.labels)
    found = volumes.sources(settings, identity, account, secrets, home, volumes.volume_rules(settings))
    if found.vnc is None:
        raise ManifestError("the VNC secret of the desktop does not exist")
    env = _environment(settings, identity, client, account, draw, active, selected, network, authorized_key, timezone)
    parts = _Parts(
        settings, identity, account, active, selected, found, env.manifest(), network, home, pod_level_resources
    )
    warnings = [*found.warnings, *env.warnings, *([selected.warning] if selected.warning else [])]
    name = naming.pod_name(account.uid, draw.suffix)
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": settings.kubernetes.namespace,
            "annotations": {**network.annotations, "lastlogin_datetime": draw.now},
            "labels": _labels(identity, draw, active, network, warnings),
        },
        "spec": _spec(parts, name, warnings),
    }
    checks.check_pod(pod)
    return Built(pod, tuple(dict.fromkeys(warnings)))


def _labels(
    identity: Identity, draw: Draw, active: entries.Entries, network: NetworkRules, warnings: list[str]
) -> dict[str, str]:
    of_user, dropped = labels.user_labels(identity.labels, identity.roles)
    warnings.extend(dropped)
    result = {
        **of_user,
        "abcdesktop/role": "desktop",
        "type": labels.DESKTOP_TYPE,
        "netpol/ocuser": "true",
        **labels.identity_labels(identity),
        "xauthkey": draw.xauthkey,
        "pulseaudio_cookie": draw.pulseaudio_cookie,
        "broadcast_cookie": draw.broadcast_cookie,
        **entries.service_labels(active),
    }
    if network.bridged:
        result["websocketrouting"] = "bridge"
        route = _external_name(network)
        if route:
            result["websocketroute"] = route
    return result


def _external_name(network: NetworkRules) -> str:
    return ".".join(part for part in (network.external_hostname, network.external_domain) if part)


def _environment(
    settings: Settings,
    identity: Identity,
    client: ClientInfo,
    account: PosixAccount,
    draw: Draw,
    active: entries.Entries,
    selected: executeclass.Selected,
    network: NetworkRules,
    authorized_key: str | None,
    timezone: str,
) -> environment.Environment:
    """The one environment of every container of the pod, in the order of the specification (5.7)."""
    desktop = settings.desktop
    env = environment.Environment()
    context = templates.posix_context(account)
    env.configure(desktop.envlocal, context)
    for label, more in desktop.envlocalrules.items():
        if label in identity.labels:
            env.configure(more, context)
    environment.set_locale(env, client.locale)
    theme = client.os_family if desktop.theme_is_automatic or desktop.theme is None else desktop.theme
    env.set(
        ABCDESKTOP_USERNAME=identity.name,
        ABCDESKTOP_USERID=identity.userid,
        ABCDESKTOP_PROVIDERNAME=identity.provider,
        ABCDESKTOP_PROVIDERTYPE=identity.providertype,
        ABCDESKTOP_WEBCLIENT_SOURCEIPADDR=client.ipaddr,
        WEBCLIENT_SOURCEIPADDR=client.ipaddr,  # the name up to 3.4
        ABCDESKTOP_WEBCLIENT_USERAGENT_OS_FAMILY=theme,
        ABCDESKTOP_AUTHORIZEDKEY=authorized_key,
        XAUTH_KEY=draw.xauthkey,
        PULSEAUDIO_COOKIE=draw.pulseaudio_cookie,
        BROADCAST_COOKIE=draw.broadcast_cookie,
        HOME=posix.home_directory(settings, account),
        USER=account.uid,
        LOGNAME=account.uid,
        USERNAME=account.uid,
        PULSE_SERVER=desktop.pulseaudiosocketpath,
        ABCDESKTOP_EXECUTE_CLASSNAME=selected.name,
        ABCDESKTOP_EXECUTE_CLASS=environment.to_json(selected.execute_class.as_dict()),
        ABCDESKTOP_RUNTIME_CLASSNAME=selected.execute_class.runtime_class_name,
        TZ=timezone,
    )
    if desktop.theme is not None and "ABCDESKTOP_DESKTOPTHEME" not in desktop.envlocal:
        env.set(ABCDESKTOP_DESKTOPTHEME=theme)
    env.labels(identity.labels)
    env.set(**{f"ABCDESKTOP_SERVICE_{name}": "enabled" for name in entries.LETTERS if name in active})
    if network.bridged:
        _bridged(env, network)
    env.references()
    return env


def _bridged(env: environment.Environment, network: NetworkRules) -> None:
    env.set(DISABLE_REMOTEIP_FILTERING="enabled")
    if network.external_hostname and network.external_domain:
        env.set(
            USE_CERTBOT_CERTONLY="enabled",
            EXTERNAL_DESKTOP_HOSTNAME=network.external_hostname,
            EXTERNAL_DESKTOP_DOMAIN=network.external_domain,
        )


def _spec(parts: _Parts, name: str, warnings: list[str]) -> Json:
    settings, configured = parts.settings, parts.settings.pod.spec
    built, mounted = _containers(parts, warnings)
    init = _init_container(parts, warnings)
    graphical = security.rendered(parts.active["graphical"].security_context, parts.account)
    spec: Json = {
        "hostname": _hostname(settings, name),
        "subdomain": SUBDOMAIN,
        "automountServiceAccountToken": False,
        "dnsPolicy": settings.desktop.dnspolicy,
        "shareProcessNamespace": configured.share_process_namespace,
        **copy.deepcopy(dict(configured.others)),
        **executeclass.pod_fields(parts.selected),
        "tolerations": executeclass.tolerations(parts.selected, configured.tolerations),
        "nodeSelector": _node_selector(parts),
        "securityContext": security.with_groups(
            security.pod_level(security.rendered(configured.security_context, parts.account)), graphical
        ),
    }
    _dns(spec, settings, parts.network)
    pod_resources, _ = executeclass.split_pod_resources(parts.selected)
    if parts.pod_level_resources and pod_resources:
        spec["resources"] = pod_resources
    owners = [parts.active[entry] for entry in entries.containers(parts.active)]
    pull = entries.pull_secrets(settings, *owners)
    if pull:
        spec["imagePullSecrets"] = pull
    spec["volumes"] = _volumes(parts, mounted)
    if init is not None:
        spec["initContainers"] = [init]
    spec["containers"] = built
    return spec


def _hostname(settings: Settings, name: str) -> str:
    return name if settings.desktop.useinternalfqdn else settings.desktop.hostname or name


def _node_selector(parts: _Parts) -> dict[str, str]:
    """``desktop.nodeselector``, then the pod's own, then the class's, which wins."""
    of_pod = parts.settings.pod.spec.others.get("nodeSelector") or {}
    of_class = parts.selected.execute_class.node_selector or {}
    return executeclass.merged(parts.settings.desktop.nodeselector, of_pod, of_class)


def _dns(spec: Json, settings: Settings, network: NetworkRules) -> None:
    if network.dns_config is not None:
        spec["dnsPolicy"], spec["dnsConfig"] = "None", copy.deepcopy(dict(network.dns_config))
    elif settings.desktop.dnsconfig is not None and "dnsConfig" not in spec:
        spec["dnsConfig"] = copy.deepcopy(dict(settings.desktop.dnsconfig))


def _containers(parts: _Parts, warnings: list[str]) -> tuple[list[Json], list[volumes.Mountable]]:
    """The containers, graphical first, and every volume they mount in order of first use."""
    built: list[Json] = []
    mounted: list[volumes.Mountable] = []
    for entry in entries.containers(parts.active):
        mounts = _mounts(parts, entry)
        container = _container(parts, entry, mounts)
        if entry == "graphical":
            container["workingDir"] = posix.home_directory(parts.settings, parts.account)
            _add_stop_hook(container, parts.settings)
        built.append(container)
        mounted.extend(mounts.items)
        warnings.extend(mounts.warnings)
    return built, mounted


def _mounts(parts: _Parts, entry: str) -> volumes.Mounts:
    found = parts.found
    mounts = volumes.Mounts(entry)
    account = found.account if entry in entries.WITH_ACCOUNT and not found.account_in_init_only else None
    if entry == "graphical":
        mounts.add(*found.home, account, found.vnc)
        mounts.require(parts.active[entry].secrets_requirement, found)
        mounts.add_keys(entries.volume_keys(parts.active, entry), found)
        mounts.add(*found.policies, found.localtime)
    else:
        mounts.add_keys(entries.volume_keys(parts.active, entry), found)
        mounts.add(account)
    return mounts


def _container(parts: _Parts, entry: str, mounts: volumes.Mounts) -> Json:
    configured = parts.active[entry]
    container: Json = {
        "name": entries.container_name(entry),
        "image": entries.image(parts.active, entry, parts.identity),
        "imagePullPolicy": configured.image_pull_policy,
        "env": [dict(variable) for variable in parts.env],
        "volumeMounts": mounts.manifest(),
    }
    context = security.container_level(security.rendered(configured.security_context, parts.account))
    if context:
        container["securityContext"] = context
    resources = _resources(parts, entry)
    if resources:
        container["resources"] = resources
    if configured.entrypoint:
        container["command"] = list(configured.entrypoint)
    if configured.lifecycle and entry != "init":  # init containers have no hooks
        container["lifecycle"] = copy.deepcopy(dict(configured.lifecycle))
    return container


def _resources(parts: _Parts, entry: str) -> dict[str, Any]:
    own = executeclass.container_resources(parts.selected, entry, parts.active[entry].resources)
    if entry != "graphical":
        return own
    if parts.pod_level_resources:
        _, of_class = executeclass.split_pod_resources(parts.selected)
    else:
        of_class = executeclass.class_resources(parts.selected)
    return executeclass.merged(of_class, own)


def _add_stop_hook(container: Json, settings: Settings) -> None:
    """``desktop.removehomedirectory``: empty the home when the desktop ends; a configured hook wins."""
    storage = settings.storage
    if storage.removehomedirectory and storage.prestopexeccommand:
        hook = {"exec": {"command": list(storage.prestopexeccommand)}}
        container["lifecycle"] = {"preStop": hook, **container.get("lifecycle", {})}


def _init_container(parts: _Parts, warnings: list[str]) -> Json | None:
    """The init container; none without a command, unless a home that lasts has to be given to its user."""
    configured = parts.active.get("init")
    if configured is None:
        return None
    mounts = init_mounts(parts.active, parts.found)
    if configured.command:
        command = templates.render(list(configured.command), templates.posix_context(parts.account), templates.command)
    elif parts.home.persistent:
        mounts.add(*parts.found.home[:1])
        path = homes.mount_path(parts.settings, parts.account)
        command = ["chown", f"{parts.account.uidNumber}:{parts.account.gidNumber}", path]
    else:
        return None
    warnings.extend(mounts.warnings)
    return {**_container(parts, "init", mounts), "command": command}


def init_mounts(active: entries.Entries, found: volumes.Sources) -> volumes.Mounts:
    """What the init container sees: its configured volumes and the account files."""
    mounts = volumes.Mounts("init")
    mounts.add_keys(entries.volume_keys(active, "init"), found)
    mounts.add(found.account)
    return mounts


def _volumes(parts: _Parts, mounted: list[volumes.Mountable]) -> list[Json]:
    """All volumes of the pod: those of its containers, and those an application may want to mount later."""
    found, later = parts.found, volumes.Mounts("ephemeral_container")
    if "ephemeral_container" in parts.active:
        later.add_keys(entries.volume_keys(parts.active, "ephemeral_container"), found)
    of_init = init_mounts(parts.active, found).items if "init" in parts.active else []
    secrets = [found.account, *([found.vnc] if found.vnc else []), *found.auth.values()]
    return volumes.declare(found.home, secrets, mounted, of_init, later.items)
