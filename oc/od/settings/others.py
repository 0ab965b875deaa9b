"""Smaller services: DNS updates, geographic databases, issue tracker."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from oc.od.settings.containers import Record
from oc.od.settings.declaration import group, option
from oc.od.settings.front import AuthorizedKeys
from oc.od.settings.kinds import Choice, Flag, Integer, Nullable, Text, Url

WELL_KNOWN_DNS_SECRET: Final = "abcdesktopinternaldnssecret"  # noqa: S105  (published, and refused when in use)

_NAME = Text("a DNS name", pattern=r"[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?", longest=253)
_FILE = Text("a file name", longest=1024)


@dataclasses.dataclass(frozen=True)
class InternalDnsSettings:
    """Dynamic DNS records of desktops."""

    enable: bool = option(
        Flag(), False, key="internaldns.enable", meaning="Whether a record is written for each desktop."
    )
    server: str | None = option(
        Nullable(Text("a host name or address", pattern=r"[A-Za-z0-9._:\[\]-]+", longest=255)),
        None,
        key="internaldns.server",
        meaning="Host of the update service, called over http on port 8080. Needed when enabled.",
    )
    secret: str | None = option(
        Nullable(Text("a secret", longest=1024)),
        None,
        key="internaldns.secret",
        meaning="Secret shared with the update service. Needed when enabled.",
        secret=True,
    )
    domain: str = option(_NAME, "abcdesktop.local", key="internaldns.domain", meaning="Zone of the records.")
    rfc2136_server: str | None = option(
        Nullable(Text("a host name or address", pattern=r"[A-Za-z0-9._:\[\]-]+", longest=255)),
        None,
        key="internaldns.rfc2136_server",
        meaning="Name server that takes dynamic updates (RFC 2136) of the zone; it is used instead of the service.",
        since="4.4, extension",
    )
    rfc2136_port: int = option(
        Integer(1, 65535), 53, key="internaldns.rfc2136_port", meaning="Its TCP port.", since="4.4, extension"
    )
    rfc2136_keyname: str | None = option(
        Nullable(_NAME),
        None,
        key="internaldns.rfc2136_keyname",
        meaning="Name of the TSIG key that signs updates; None: they are not signed.",
        since="4.4, extension",
    )
    rfc2136_keysecret: str | None = option(
        Nullable(Text("a key in base64", pattern=r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")),
        None,
        key="internaldns.rfc2136_keysecret",
        meaning="The TSIG key.",
        since="4.4, extension",
        secret=True,
    )
    rfc2136_keyalgorithm: str = option(
        Choice("hmac-sha256", "hmac-sha384", "hmac-sha512"),
        "hmac-sha256",
        key="internaldns.rfc2136_keyalgorithm",
        meaning="Algorithm of the TSIG key.",
        since="4.4, extension",
    )
    rfc2136_ttl: int = option(
        Integer(0, 86_400, unit="s"),
        60,
        key="internaldns.rfc2136_ttl",
        meaning="Time a resolver may keep a desktop's address.",
        since="4.4, extension",
    )
    subdomain: str = option(
        _NAME, "desktop", key="internaldns.subdomain", meaning="Accepted for old files, without effect."
    )


@dataclasses.dataclass(frozen=True)
class FakednsRecord:
    """`fakedns`."""

    interfacename: str = option(
        Text("a network interface name", longest=64),
        "eth0",
        key="interfacename",
        meaning="Interface whose address the desktop DNS route answers.",
    )


@dataclasses.dataclass(frozen=True)
class GeoipSettings:
    """Local databases about addresses; a missing file switches its look-ups off."""

    city_database: str = option(
        _FILE,
        "/usr/share/geolite2/GeoLite2-City.mmdb",
        key="geoip.city_database",
        meaning="GeoLite2 City database.",
        since="4.4, extension",
    )
    asn_database: str = option(
        _FILE,
        "/usr/share/geolite2/GeoLite2-ASN.mmdb",
        key="geoip.asn_database",
        meaning="GeoLite2 ASN database.",
        since="4.4, extension",
    )
    ipasn_database: str = option(
        _FILE,
        "ipasn_db.dat",
        key="asn.database",
        meaning="pyasn database, for rules on autonomous system numbers.",
        since="4.4, extension",
    )


@dataclasses.dataclass(frozen=True)
class JiraSettings:
    """`jira`: the issue tracker; all four keys switch it on."""

    url: str | None = option(Nullable(Url("http", "https")), None, key="url", meaning="Base URL of the tracker.")
    username: str | None = option(Nullable(Text(longest=256)), None, key="username", meaning="Account.")
    apikey: str | None = option(
        Nullable(Text("an API key", longest=1024)), None, key="apikey", meaning="API key of the account.", secret=True
    )
    project_id: str | None = option(
        Nullable(Text("a project id", longest=256)), None, key="project_id", meaning="Project that gets the issues."
    )

    @property
    def enabled(self) -> bool:
        """Whether the tracker is configured."""
        return bool(self.url and self.username and self.apikey and self.project_id)


@dataclasses.dataclass(frozen=True)
class OtherSettings:
    """Keys of small services."""

    fakedns: FakednsRecord = option(
        Record(FakednsRecord), FakednsRecord(), key="fakedns", meaning="Desktop DNS query route."
    )
    authorized_keys: Mapping[str, str] = option(
        AuthorizedKeys(),
        {},
        key="authorized_keys",
        meaning="User id -> OpenSSH public key; certificate logins add theirs at run time.",
        since="4.4",
    )
    jira: JiraSettings = option(Record(JiraSettings), JiraSettings(), key="jira", meaning="Issue tracker.", secret=True)
    internaldns: InternalDnsSettings = group(InternalDnsSettings)
    geoip: GeoipSettings = group(GeoipSettings)
