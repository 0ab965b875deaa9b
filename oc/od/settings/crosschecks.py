"""What only several keys together can tell: derived values, contradictions, advice."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from oc.model.names import volume_name
from oc.od.settings.declaration import Report
from oc.od.settings.model import Settings
from oc.od.settings.others import WELL_KNOWN_DNS_SECRET

WELL_KNOWN_PASSWORDS: Final = frozenset(
    {"lmdpocpetit", "GoodNewsEveryone", "Az4MeYWUjZDg4Zjhk", "CHANGE-ME", "change-me"}
)
"""Passwords printed in public files and manuals: worth a word when they are in use."""


SHORTEST_PRELOGIN: Final = 5
"""Least time (s) a user needs on the prelogin page."""


def derive(settings: Settings, given: Mapping[str, object], environ: Mapping[str, str], report: Report) -> Settings:
    """Fill the values no key gives by itself."""
    kubernetes = settings.kubernetes
    domain = kubernetes.configured_domain or f"{kubernetes.namespace}.{kubernetes.service_suffix}"
    written = given.get("namespace")
    if environ.get("POD_NAMESPACE") and isinstance(written, str) and written != kubernetes.namespace:
        report.at("namespace").warn(
            f"the environment variable POD_NAMESPACE says '{kubernetes.namespace}' and wins; before 4.0 the key won"
        )
    return dataclasses.replace(
        settings,
        kubernetes=dataclasses.replace(kubernetes, domain=domain),
        controllers=_store_defaults(settings),
        auth=_prelogin_or_off(settings, report),
        desktop=_desktop(settings, given, report),
        front=_menu(settings),
    )


def _store_defaults(settings: Settings) -> Mapping[str, Any]:
    """Colour and wallpaper of the environment become the defaults of the user's store."""
    policies = dict(settings.controllers)
    store = policies["StoreController"]
    wrapped = dict(store.wrapped_key)
    environment = settings.desktop.envlocal
    if environment.get("SET_DEFAULT_COLOR"):
        wrapped["color"] = environment["SET_DEFAULT_COLOR"]
    if environment.get("SET_DEFAULT_WALLPAPER"):
        wrapped["backgroundType"] = "img"
    policies["StoreController"] = dataclasses.replace(store, wrapped_key=wrapped)
    return policies


def _prelogin_or_off(settings: Settings, report: Report) -> Any:
    auth = settings.auth
    prelogin = auth.prelogin
    if prelogin.maxprelogintimeout - prelogin.timetoloadthewebpage < SHORTEST_PRELOGIN:
        report.at("auth.prelogin", "maxprelogintimeout").warn(
            f"less than {SHORTEST_PRELOGIN} s above timetoloadthewebpage: the defaults 120 and 5 are used for both"
        )
        prelogin = dataclasses.replace(prelogin, maxprelogintimeout=120, timetoloadthewebpage=5)
        auth = dataclasses.replace(auth, prelogin=prelogin)
    if prelogin.enable and prelogin.url is None:
        report.at("auth.prelogin", "url").warn("prelogin is enabled without a url to fetch the page from: switched off")
        return dataclasses.replace(auth, prelogin=dataclasses.replace(prelogin, enable=False))
    return auth


def _desktop(settings: Settings, given: Mapping[str, object], report: Report) -> Any:
    desktop = settings.desktop
    account = desktop.account
    if not account.userpasswd:
        account = dataclasses.replace(account, userpasswd=secrets.token_urlsafe(24))
        report.at("desktop.userpasswd").advise(
            "not set: accounts get a random password, so sudo cannot be used in desktops. Set one to allow it"
        )
    never_change = desktop.authproviderneverchange
    if settings.auth.any_provider_has("explicitproviderapproval"):
        if never_change and "desktop.authproviderneverchange" in given:
            report.at("desktop.authproviderneverchange").warn(
                "True is read as False, because a provider has 'explicitproviderapproval'"
            )
        never_change = False
    return dataclasses.replace(desktop, account=account, authproviderneverchange=never_change)


def _menu(settings: Settings) -> Any:
    if not settings.pod.snapshot_enabled:
        return settings.front
    menu = {**settings.front.menuconfig, "snapshot": True}
    return dataclasses.replace(settings.front, menuconfig=menu)


def cross_check(settings: Settings, given: Mapping[str, object], report: Report) -> None:
    """Report contradictions between keys."""
    _check_routing(settings, given, report)
    _check_internaldns(settings, report)
    _check_storage(settings, report)
    _check_volumes(settings, report)
    _check_published_secrets(settings, report)


def _check_routing(settings: Settings, given: Mapping[str, object], report: Report) -> None:
    http = settings.http
    if http.websocketrouting == "default_host_url" and http.default_host_url is None:
        report.at("websocketrouting").reject("'default_host_url' needs the key default_host_url, expected a URL there")
    if http.default_host_url is None and "default_host_url" not in given:
        report.at("default_host_url").advise("not set: login redirects (OAuth, autologin, logmein) need it")
    if http.default_host_url and urlsplit(http.default_host_url).path not in ("", "/"):
        report.at("default_host_url").advise("holds a path, expected only scheme, host and port")
    if settings.auth.oauth.insecure_transport and http.secured:
        report.at("OAUTHLIB_INSECURE_TRANSPORT").warn(
            "allows OAuth over plain http although default_host_url is https: remove it"
        )


def _check_internaldns(settings: Settings, report: Report) -> None:
    dns = settings.internaldns
    if not dns.enable:
        return
    if dns.rfc2136_server is not None:
        if (dns.rfc2136_keyname is None) != (dns.rfc2136_keysecret is None):
            report.at("internaldns.rfc2136_keysecret").reject(
                "key name and key belong together, one of them is missing"
            )
        return
    if dns.server is None and not report.has_error("internaldns.server"):
        report.at("internaldns.server").reject("is missing while internaldns.enable is True, expected a host name")
    if dns.secret is None and not report.has_error("internaldns.secret"):
        report.at("internaldns.secret").reject("is missing while internaldns.enable is True, expected a secret")
    elif dns.secret == WELL_KNOWN_DNS_SECRET:
        report.at("internaldns.secret").advise("this secret is published, choose another")


def _check_storage(settings: Settings, report: Report) -> None:
    storage = settings.desktop.storage
    kind = storage.homedirectorytype
    if kind == "nfs" and storage.nfs is None and not report.has_error("desktop.nfs"):
        report.at("desktop.homedirectorytype").reject("'nfs' needs the key desktop.nfs, expected a volume source there")
    claim = "desktop.persistentvolumeclaim"
    if kind == "persistentVolumeClaim" and storage.persistentvolumeclaim is None and not report.has_error(claim):
        report.at("desktop.homedirectorytype").reject(
            "'persistentVolumeClaim' needs the key desktop.persistentvolumeclaim, expected a name or a template there"
        )
    if settings.pod.snapshot_enabled:
        report.at("desktop.pod", "snapshot").advise(
            "the snapshot container gets the node's container runtime socket: whoever controls it controls the node"
        )


def _check_volumes(settings: Settings, report: Report) -> None:
    """Warn about volume names that nothing defines: the builder skips them."""
    mounts = settings.pod.default_volumes_mount
    known = set(mounts) & set(settings.pod.default_volumes)
    known |= {"home", "localtime", "local"}
    known |= {volume_name(name) for name in settings.desktop.storage.directorytomemoryemptydir}
    for name, container in settings.pod.containers.items():
        for n, volume in enumerate(container.volumes or ()):
            if volume in known or volume_name(volume) in known:
                continue
            if container.enable:
                report.at("desktop.pod", name, "volumes", n).warn(
                    f"no volume '{volume}' in default_volumes and default_volumes_mount, it is skipped"
                )


def _check_published_secrets(settings: Settings, report: Report) -> None:
    if settings.account.userpasswd in WELL_KNOWN_PASSWORDS:
        report.at("desktop.userpasswd").advise("this password is published, choose another")
    if any(word in settings.mongodb.url for word in WELL_KNOWN_PASSWORDS):
        report.at("mongodburl").advise("the database password is published, choose another")
    for name, policy in settings.controllers.items():
        if any(key in WELL_KNOWN_PASSWORDS for key in policy.apikey or ()):
            report.at("controllers", name, "apikey").advise("this API key is published, choose another")
    for manager in settings.auth.managers:
        for provider, values in settings.auth.providers(manager).items():
            account = values.get("serviceaccount")
            if isinstance(account, Mapping) and account.get("password") in WELL_KNOWN_PASSWORDS:
                report.at("authmanagers", manager, "providers", provider).advise(
                    "the service account's password is published, choose another"
                )
