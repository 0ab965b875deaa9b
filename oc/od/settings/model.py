"""The whole configuration as one immutable object."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from oc.od.settings.account import AccountSettings
from oc.od.settings.authentication import AuthSettings, Fail2banSettings, LogmeinSettings, PreloginSettings
from oc.od.settings.cluster import KubernetesSettings
from oc.od.settings.containers import JsonMapping, Record
from oc.od.settings.controllers import DEFAULT_POLICIES, ControllerPolicy, Policies
from oc.od.settings.declaration import Problem, derived, group, option
from oc.od.settings.desktop import DesktopSettings
from oc.od.settings.front import DockSettings, FrontSettings, WebrtcSettings
from oc.od.settings.others import FakednsRecord, GeoipSettings, InternalDnsSettings, JiraSettings, OtherSettings
from oc.od.settings.pod import Pod, PodSettings
from oc.od.settings.policies import FALLBACK_CLASS, ExecuteClass, ExecuteClasses, PoliciesSettings
from oc.od.settings.server import HttpSettings, LoggingSettings, ServerSettings
from oc.od.settings.storage import StorageSettings
from oc.od.settings.stores import HistorySettings, MemcachedSettings, MongodbSettings
from oc.od.settings.tokens import JwtDesktopSettings, JwtUserSettings

SHIPPED_CONTROLLERS = {
    "ManagerController": {
        "permitip": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8", "169.254.0.0/16", "127.0.0.0/8"]
    },
    "StoreController": {"wrapped_key": {}},
    "ComposerController": {"requestsallowed": {"getdesktopdescription": False}},
    "DesktopController": {
        "requestsallowed": {"dns": False},
        "permitip": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8", "169.254.0.0/16", "127.0.0.0/8"],
    },
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything the configuration says, typed and checked. Never mutated after loading.

    JSON-like fragments inside are plain dicts and lists so that builders can deep-copy them; no code writes to
    them. `warnings` lists what was ignored, repaired or deserves a second look. `base`: directory that relative
    file names in the configuration refer to.
    """

    server: ServerSettings = group(ServerSettings)
    http: HttpSettings = group(HttpSettings)
    logging_settings: LoggingSettings = group(LoggingSettings)
    jwt_user: JwtUserSettings = option(
        Record(JwtUserSettings), JwtUserSettings(), key="jwt_token_user", meaning="User tokens."
    )
    jwt_desktop: JwtDesktopSettings = option(
        Record(JwtDesktopSettings), JwtDesktopSettings(), key="jwt_token_desktop", meaning="Desktop tokens."
    )
    controllers: Mapping[str, ControllerPolicy] = option(
        Policies(),
        DEFAULT_POLICIES,
        key="controllers",
        meaning="Controller class name -> who may call it.",
        default_text="private networks only for ManagerController, AccountingController and KeyController",
        shipped=SHIPPED_CONTROLLERS,
    )
    auth: AuthSettings = group(AuthSettings)
    fail2ban: Fail2banSettings = option(
        Record(Fail2banSettings), Fail2banSettings(), key="fail2ban", meaning="Bans after repeated failures."
    )
    mongodb: MongodbSettings = group(MongodbSettings)
    history: HistorySettings = group(HistorySettings)
    memcached: MemcachedSettings = group(MemcachedSettings)
    kubernetes: KubernetesSettings = group(KubernetesSettings)
    executeclasses: Mapping[str, ExecuteClass] = option(
        ExecuteClasses(),
        {"default": FALLBACK_CLASS},
        key="executeclasses",
        meaning="Class name -> resources and placement of a desktop. The class `default` is needed.",
        default_text="one class `default` without resources",
    )
    pod: PodSettings = option(
        Pod(), PodSettings(), key="desktop.pod", meaning="Template of desktop and application pods.", required=True
    )
    policies: PoliciesSettings = option(
        Record(PoliciesSettings),
        PoliciesSettings(),
        key="desktop.policies",
        meaning="Volumes, networks and limits by label.",
    )
    desktop: DesktopSettings = group(DesktopSettings)
    front: FrontSettings = group(FrontSettings)
    dock: DockSettings = group(DockSettings)
    webrtc: WebrtcSettings = group(WebrtcSettings)
    others: OtherSettings = group(OtherSettings)
    warnings: tuple[Problem, ...] = derived(())
    base: Path = derived(Path())

    @property
    def logging(self) -> JsonMapping | None:
        """The `logging.config.dictConfig` document, None when the file has none."""
        return self.logging_settings.document

    @property
    def language(self) -> tuple[str, ...]:
        """Supported locales, never empty."""
        return self.front.language

    @property
    def internaldns(self) -> InternalDnsSettings:
        """Dynamic DNS records of desktops."""
        return self.others.internaldns

    @property
    def fakedns(self) -> FakednsRecord:
        """The desktop DNS query route."""
        return self.others.fakedns

    @property
    def geoip(self) -> GeoipSettings:
        """Paths of the address databases."""
        return self.others.geoip

    @property
    def jira(self) -> JiraSettings:
        """The issue tracker."""
        return self.others.jira

    @property
    def authorized_keys(self) -> Mapping[str, str]:
        """User id -> OpenSSH public key."""
        return self.others.authorized_keys

    @property
    def prelogin(self) -> PreloginSettings:
        """`auth.prelogin`."""
        return self.auth.prelogin

    @property
    def logmein(self) -> LogmeinSettings:
        """`auth.logmein`."""
        return self.auth.logmein

    @property
    def storage(self) -> StorageSettings:
        """The home directory volume."""
        return self.desktop.storage

    @property
    def account(self) -> AccountSettings:
        """The default POSIX account."""
        return self.desktop.account

    def execute_class(self, name: str | None) -> tuple[str, ExecuteClass]:
        """(name, class) to use for a wished class; an unknown name gives `default`."""
        if name is not None and name in self.executeclasses:
            return name, self.executeclasses[name]
        return "default", self.executeclasses["default"]
