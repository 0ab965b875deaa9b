"""What routes answer, as types for the API document. Handlers build plain dicts; a test holds them to these types."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Field = msgspec.field


class Version(msgspec.Struct):
    """date (ISO 8601) and commit of the build, and its number; null where the configuration hides them."""

    date: str | None
    commit: str | None
    version: str | None


class DesktopConnection(msgspec.Struct):
    """How the browser reaches the desktop. expire_in: seconds the authorization holds."""

    target_ip: str
    vncpassword: str
    authorization: str
    websocketrouting: str
    websockettcpport: int
    expire_in: int


class DesktopToken(msgspec.Struct):
    """A token for the desktop's own services; expire_in in seconds."""

    authorization: str
    expire_in: int


class ApplicationInstance(msgspec.Struct):
    """A started application. container_id: name of the ephemeral container, or of the application's pod."""

    container_id: str
    state: str
    type: str
    wm_class: str | None


class UserApplication(msgspec.Struct):
    """An application as users see it, or an entry of the dock."""

    id: str | None
    launch: str | None
    name: str | None
    icon: str | None
    icondata: str | None
    keyword: str | None
    uniquerunkey: str | None
    cat: str | None
    args: Any
    execmode: str | None
    showinview: str | None
    displayname: str | None
    mimetype: list[str] | None
    path: str | None
    desktopfile: str | None
    sha_id: str | None
    created: str | None
    executablefilename: str | None
    os: str | None
    secrets_requirement: list[str] | None
    architecture: str | None
    wm_class: str | None
    fileextensions: list[str] | None
    legacyfileextensions: list[str] | None
    hideindock: Any


class RunningApplication(msgspec.Struct):
    """One application of a desktop. podname and id name it in other routes."""

    podname: str
    id: str
    short_id: str | None
    status: str
    image: str | None
    nodehostname: str | None
    architecture: str | None
    os: str | None
    runtime: Literal["kubernetes"]
    type: Literal["ephemeralcontainer", "pod_application"]
    oc_path: list[str] | None = Field(name="oc.path")
    oc_icondata: str | None = Field(name="oc.icondata")
    oc_args: Any = Field(name="oc.args")
    oc_icon: str | None = Field(name="oc.icon")
    oc_launch: str | None = Field(name="oc.launch")
    oc_displayname: str | None = Field(name="oc.displayname")


class AnnouncedApplication(RunningApplication, kw_only=True):
    """The same with the keys of the notification a desktop gets."""

    container_id: str
    name: str | None
    displayname: str | None
    icon: str | None
    icondata: str | None
    launch: str | None
    reason: str | None


class KeyInfo(msgspec.Struct):
    """A piece of configuration; both absent when no name was given, ``id`` null when it is not known."""

    id: Any = msgspec.UNSET
    callbackurl: msgspec.UnsetType | None = msgspec.UNSET


class UserDescription(msgspec.Struct):
    """The caller; nulls without a valid token. Fields of the directory are there when the user has an ldif secret."""

    sessionid: str
    userid: str | None
    name: str | None
    provider: str | None
    providertype: str | None
    photo: str | None
    target_ip: str | None
    container_id: str | None
    hostedby: str | None


class Location(msgspec.Struct):
    """Where an address is, nulls where nothing is known. location: latitude and longitude, or a directory's text."""

    ipAddr: str  # noqa: N815 - the names clients read
    site: str | None
    subnet: str | None
    country: str | None
    country_code: str | None
    location: Any
    timezone: str | None
    siteObject: str | None  # noqa: N815
    autonomous_system_number: int | None
    autonomous_system_organization: str | None
    datasource: str | None


class Locations(msgspec.Struct):
    """Of the caller's address and of the service's public one."""

    user: Location
    server: Location


class NoUser(msgspec.Struct):
    """Nobody."""

    userid: None
    name: None


class LoginResult(msgspec.Struct):
    """A user token and whose it is; provider is the type of the provider, expire_in in seconds."""

    userid: str
    jwt_user_token: str
    name: str | None
    provider: str
    expire_in: int


class UserToken(msgspec.Struct):
    """A new user token; expire_in in seconds."""

    jwt_user_token: str
    expire_in: int


class OnlyToken(msgspec.Struct):
    """A user token."""

    jwt_user_token: str


class Place(msgspec.Struct):
    """Where the browser goes next."""

    url: str


class LoginManagers(msgspec.Struct):
    """The managers the login page offers, each with its providers."""

    managers: list[dict[str, Any]]


class Health(msgspec.Struct):
    """Proof that the caller is admitted; with ``verbose``, also ready, dependencies and lanes."""

    controler: Literal["ManagerController"]
    status: Literal["ok"]


class Echo(msgspec.Struct):
    """The request as it arrived, secrets masked."""

    headers: dict[str, str]
    remote: dict[str, Any]
    client: dict[str, Any]
    params: dict[str, Any]


class BanEntry(msgspec.Struct):
    """A banned address or login; date of the last failure in UTC."""

    id: str
    count: int
    date: str | None
    banexpireAfterSeconds: int  # noqa: N815


class BanState(BanEntry, kw_only=True):
    """What is counted for one address or login, also below the limit."""

    isban: bool


class DesktopEntry(msgspec.Struct):
    """One desktop of the list; id and name are its pod's."""

    id: str
    name: str
    status: str
    ipAddr: str | None  # noqa: N815
    container_id: str | None
    container_name: str | None
    creation_timestamp: str | None
    nodehostname: str | None
    hostname: str | None
    fqdn: str | None
    vncPassword: None  # noqa: N815
    desktop_interfaces: dict[str, Any] | None
    websocketrouting: str | None
    websocketroute: str | None


class DesktopAddress(msgspec.Struct):
    """Where a user's desktop is."""

    ipaddr: str


class ReportedIssue(msgspec.Struct):
    """A new issue of the tracker: its project, number and key."""

    project: str
    id: str
    key: str


class Usage(msgspec.Struct):
    """Of a container; metrics as decimal text, absent when not to be had."""

    timestamp: float
    cpuacct_usage: str | msgspec.UnsetType = Field(name="cpuacct.usage", default=msgspec.UNSET)
    cfs_quota: str | msgspec.UnsetType = Field(name="cpu.cfs_quota_us", default=msgspec.UNSET)
    memory_usage: str | msgspec.UnsetType = Field(name="memory.usage_in_bytes", default=msgspec.UNSET)
    memory_limit: str | msgspec.UnsetType = Field(name="memory.limit_in_bytes", default=msgspec.UNSET)


Image = dict[str, Any]
Catalogue = dict[str, Image]
Counters = dict[str, dict[str, int]]
