"""Typed, validated configuration: one immutable `Settings` object, handed to constructors.

Declared in one module a domain; every key's type, default, meaning and check stand in one place.
"""

from oc.od.settings.account import AccountSettings
from oc.od.settings.authentication import (
    AuthSettings,
    Fail2banSettings,
    LogmeinSettings,
    OAuthSettings,
    PreloginSettings,
)
from oc.od.settings.cluster import KubernetesSettings
from oc.od.settings.controllers import PRIVATE_NETWORKS, ControllerPolicy
from oc.od.settings.declaration import ConfigurationError, Level, Problem
from oc.od.settings.desktop import (
    CGROUP_V1_MAP,
    CGROUP_V2_MAP,
    DesktopSettings,
)
from oc.od.settings.front import DockSettings, FrontSettings, WebrtcSettings
from oc.od.settings.kinds import IPNetwork
from oc.od.settings.loading import load_settings, settings_from_mapping
from oc.od.settings.model import Settings
from oc.od.settings.others import FakednsRecord, GeoipSettings, InternalDnsSettings, JiraSettings
from oc.od.settings.pod import PodSettings, PodSpecSettings
from oc.od.settings.pod_containers import ContainerSettings
from oc.od.settings.policies import ExecuteClass, PoliciesSettings, RulesSettings
from oc.od.settings.providers import MANAGER_NAMES, AuthManager
from oc.od.settings.server import HttpSettings, LoggingSettings, ServerSettings
from oc.od.settings.storage import StorageSettings
from oc.od.settings.stores import HistorySettings, MemcachedSettings, MongodbSettings
from oc.od.settings.tokens import JwtDesktopSettings, JwtUserSettings

__all__ = [
    "CGROUP_V1_MAP",
    "CGROUP_V2_MAP",
    "MANAGER_NAMES",
    "PRIVATE_NETWORKS",
    "AccountSettings",
    "AuthManager",
    "AuthSettings",
    "ConfigurationError",
    "ContainerSettings",
    "ControllerPolicy",
    "DesktopSettings",
    "DockSettings",
    "ExecuteClass",
    "Fail2banSettings",
    "FakednsRecord",
    "FrontSettings",
    "GeoipSettings",
    "HistorySettings",
    "HttpSettings",
    "IPNetwork",
    "InternalDnsSettings",
    "JiraSettings",
    "JwtDesktopSettings",
    "JwtUserSettings",
    "KubernetesSettings",
    "Level",
    "LoggingSettings",
    "LogmeinSettings",
    "MemcachedSettings",
    "MongodbSettings",
    "OAuthSettings",
    "PodSettings",
    "PodSpecSettings",
    "PoliciesSettings",
    "PreloginSettings",
    "Problem",
    "RulesSettings",
    "ServerSettings",
    "Settings",
    "StorageSettings",
    "WebrtcSettings",
    "load_settings",
    "settings_from_mapping",
]
