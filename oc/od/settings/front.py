"""What the web front end asks for: menu, tips, welcome text, dock, languages, microphone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from oc.od.settings.containers import Json, JsonDict, JsonMapping, ListOf, MapOf, Shape, text_keys
from oc.od.settings.declaration import Kind, Place, Rejected, option
from oc.od.settings.kinds import Choice, Flag, Integer, Nullable, Or, Text
from oc.od.settings.pod_volumes import ACL

SHIPPED_LANGUAGES: Final = (
    *("de_AT", "de_BE", "de_CH", "de_DE", "de_LI", "de_LU"),
    *("en_AG", "en_AU", "en_BW", "en_CA", "en_DK", "en_GB", "en_HK", "en_IE", "en_IN"),
    *("en_NG", "en_NZ", "en_PH", "en_SG", "en_US", "en_ZA", "en_ZM", "en_ZW"),
    *("fr_BE", "fr_CA", "fr_CH", "fr_FR", "fr_LU"),
)

_LINE = Text("text", longest=1024, empty=True)
DOCK_ENTRY: Final = Shape(
    "dock entry",
    {
        "name": _LINE,
        "displayname": _LINE,
        "keyword": _LINE,
        "cat": _LINE,
        "args": Nullable(_LINE),
        "launch": _LINE,
        "execmode": _LINE,
        "id": _LINE,
        "acl": ACL,
        "showinview": Nullable(_LINE),
        "hideindock": Flag(),
        "icon": Json(),
    },
)


class Dock(Kind[Mapping[str, JsonMapping]]):
    """Entry name -> dict; an entry that is no dict is an error."""

    entries: Final = MapOf(DOCK_ENTRY, most=1000)

    def parse(self, value: object, at: Place) -> Mapping[str, JsonMapping]:
        entries = self.entries.parse(value, at)
        for name, entry in entries.items():
            if not isinstance(entry.get("icon"), str):
                at.child(name).child("icon").warn("no icon file name (str), the entry is shown without icon")
        return entries

    @property
    def name(self) -> str:
        return "dict entry -> dict"


@dataclasses.dataclass(frozen=True)
class DockSettings:
    """Applications the front end itself provides, merged into every user's list."""

    entries: Mapping[str, JsonMapping] = option(
        Dock(),
        {},
        key="dock",
        meaning="Entry name -> `name displayname id icon launch execmode acl keyword cat args showinview hideindock`. "
        "`launch: 'frontendjs.webshell'` opens the built-in terminal, `showinview: 'dock'` pins the entry.",
        shipped={
            "webshell": {
                "name": "WebShell",
                "displayname": "Web Shell",
                "id": "webshell.d",
                "icon": "webshell.svg",
                "launch": "frontendjs.webshell",
                "execmode": "frontendjs",
                "acl": {"permit": ["all"]},
                "keyword": "terminal,shell,webshell,bash,cmd",
                "cat": "utilities,development",
                "showinview": "dock",
            }
        },
    )
    img_path: str = option(
        Text("a directory", longest=1024),
        "img/app",
        key="dock.img_path",
        meaning="Directory of the dock's icon files.",
    )


_BOOLS = MapOf(Flag(), most=100)


def _bool_or_dict(value: object) -> Kind[Any] | None:
    if isinstance(value, bool):
        return Flag()
    return JsonDict() if isinstance(value, Mapping) else None


_MEDIA: Final[Kind[Any]] = Or("bool or dict", _bool_or_dict)


LOCALE: Final = r"[a-z]{2,3}([_-][A-Za-z0-9]{2,8})*(\.[A-Za-z0-9-]+)?(@[a-z]+)?"


class Languages(Kind[tuple[str, ...]]):
    """Locales such as en_US; never empty."""

    many: Final = ListOf(Text("a locale such as 'en_US'", pattern=LOCALE, longest=40), most=1000)

    def parse(self, value: object, at: Place) -> tuple[str, ...]:
        found = self.many.parse(value, at)
        if not found:
            raise at.reject("an empty list, expected at least one locale such as 'en_US'")
        return found

    def dump(self, value: tuple[str, ...]) -> object:
        return list(value)

    @property
    def name(self) -> str:
        return "list of locales"


@dataclasses.dataclass(frozen=True)
class FrontSettings:
    """Answers of `core/getkeyinfo`."""

    menuconfig: Mapping[str, bool] = option(
        _BOOLS,
        {"settings": True, "appstore": True, "screenshot": True, "logout": True, "disconnect": True},
        key="front.menuconfig",
        meaning="Menu entry -> shown or not: `settings appstore grabmouse tips screenshot record download logout "
        "disconnect`. `snapshot` is added when the desktop pod has a snapshot container.",
        shipped={
            "settings": True,
            "appstore": True,
            "screenshot": True,
            "download": True,
            "logout": True,
            "disconnect": True,
        },
    )
    imagenotification: Mapping[str, bool] = option(
        _BOOLS,
        {"ephemeral_container": False, "pod_application": False},
        key="front.imagenotification",
        meaning="Kind of application -> pop-up while its image is pulled.",
        since="4.2",
    )
    tipsinfo: JsonMapping = option(
        JsonDict(),
        {},
        key="tipsinfo",
        meaning="`networkmap: True` opens the tips page after login.",
        shipped={"networkmap": False},
    )
    welcomeinfo: JsonMapping = option(
        JsonDict(),
        {},
        key="welcomeinfo",
        meaning="`welcome`: list of messages with `notbefore`, `notafter`, `title`, `information`, `script`. A script "
        "runs in the login page.",
        sample={
            "welcome": [
                {
                    "notbefore": "04 Dec 2023 00:12:00 GMT",
                    "notafter": "08 Dec 2023 00:12:00 GMT",
                    "title": "Planned maintenance",
                    "information": "The service stops for maintenance.",
                }
            ]
        },
    )
    geolocation: JsonMapping | None = option(
        Nullable(
            Shape(
                "geolocation options",
                {"enableHighAccuracy": Flag(), "timeout": Integer(unit="ms"), "maximumAge": Integer(unit="ms")},
                closed=True,
            )
        ),
        None,
        key="geolocation",
        meaning="Options of the browser's position query; None: the browser is not asked.",
        sample={"enableHighAccuracy": True, "timeout": 5000, "maximumAge": 0},
    )
    language: tuple[str, ...] = option(
        Languages(),
        ("en_US",),
        key="language",
        meaning="Locales the desktop image supports; the browser's Accept-Language picks one.",
        shipped=list(SHIPPED_LANGUAGES),
    )


@dataclasses.dataclass(frozen=True)
class WebrtcSettings:
    """Microphone and camera of the browser."""

    enable: bool = option(
        Flag(), False, key="webrtc.enable", meaning="Whether the front end may send sound.", since="3.0"
    )
    rtc_configuration: JsonMapping = option(
        JsonDict(),
        {"iceServers": []},
        key="webrtc.rtc_configuration",
        meaning="Configuration of the browser's RTCPeerConnection.",
        secret=True,
    )
    rtc_constraints: JsonMapping = option(
        Shape("getUserMedia constraints", {"video": _MEDIA, "audio": _MEDIA}),
        {"video": False, "audio": False},
        key="webrtc.rtc_constraints",
        meaning="What the browser's getUserMedia asks for.",
        shipped={"video": False, "audio": True},
    )
    coturn: JsonMapping = option(
        Shape(
            "TURN server",
            {
                "coturn_static_auth_secret": Text("a secret", longest=1024),
                "ttl": Integer(1, 31_536_000, unit="s"),
                "protocol": Choice("turn", "turns"),
                "url": Text("host:port", longest=1024),
            },
            closed=True,
        ),
        {},
        key="webrtc.coturn",
        meaning="TURN server with short-lived accounts: `coturn_static_auth_secret`, `ttl` (3600), `protocol`, `url`.",
        since="3.2",
        secret=True,
        sample={
            "coturn_static_auth_secret": "CHANGE-ME",
            "ttl": 3600,
            "protocol": "turn",
            "url": "turn.example.org:3478",
        },
    )


class AuthorizedKeys(Kind[Mapping[str, str]]):
    """User id -> one OpenSSH public key line."""

    def parse(self, value: object, at: Place) -> Mapping[str, str]:
        items = text_keys(value, at, "a dict: name -> OpenSSH public key", 100_000)
        line = Text(
            "an OpenSSH public key line",
            pattern=r"(ssh|ecdsa|sk)-[A-Za-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\r\n]*)?",
            longest=16_384,
        )
        keys: dict[str, str] = {}
        good = True
        for name, item in items.items():
            try:
                keys[name] = line.parse(item.strip() if isinstance(item, str) else item, at.child(name))
            except Rejected:
                good = False
        if not good:
            raise Rejected
        return keys

    @property
    def name(self) -> str:
        return "dict name -> OpenSSH public key"
