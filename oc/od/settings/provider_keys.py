"""The keys of login providers: name, type, default, meaning.

A provider stays the dict the file gives; the login classes read it. Here its keys are declared, so that a
misspelt one or a wrong type is noticed while loading and the reference page lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from oc.od.settings.containers import Json, JsonDict, ListOf, MapOf, Shape, unknown_text
from oc.od.settings.declaration import Kind, Level, Option, Place, Rejected
from oc.od.settings.kinds import Flag, Integer, Nullable, Or, Text, Url

_TEXT = Text(longest=8192, empty=True)
_NAME = Nullable(_TEXT)
_SECONDS = Nullable(Integer(0, 31_536_000, unit="s"))
_NAMES = Nullable(ListOf(_TEXT, most=1000, single=True))
_URL = Nullable(Url("http", "https"))


def _listed(value: object) -> Kind[Any] | None:
    return _TEXT if isinstance(value, str) else ListOf(_TEXT, most=1000) if isinstance(value, list | tuple) else None


def _realm(value: object) -> Kind[Any] | None:
    return _TEXT if isinstance(value, str) else MapOf(_TEXT) if isinstance(value, Mapping) else None


_TEXT_OR_LIST: Final[Kind[Any]] = Nullable(Or("str or list of str", _listed))


def _key(key: str, kind: Kind[Any], default: Any, meaning: str, *, secret: bool = False) -> Option:
    return Option(key, kind, default, meaning, secret=secret)


COMMON: Final = (
    _key("enabled", Flag(), True, "False switches the provider off."),
    _key("config_ref", _NAME, None, "Name of another key of the file whose dict is merged over this one."),
    _key("type", _NAME, None, "Told to clients as provider type."),
    _key("displayname", _NAME, None, "Name on the login page; the provider's name when absent."),
    _key("caption", _NAME, None, "Text under the button; `displayname` when absent."),
    _key("icon", _NAME, None, "Icon of the button, a path below the web site."),
    _key("textcolor", _NAME, None, "CSS colour of the button's text."),
    _key("backgroundcolor", _NAME, None, "CSS colour of the button."),
    _key("default", Flag(), False, "Provider used when a login names none."),
    _key("showclientdata", Flag(), True, "False hides the provider from the login page."),
    _key("auth_only", Flag(), False, "Authenticate without reading the directory."),
    _key("policies", Nullable(JsonDict()), {}, "`acl` (who may log in) and `rules` (conditions that give labels)."),
    _key("defaultuid", _NAME, None, "Login of generated accounts; `desktop.username` when absent."),
    _key("defaultpassword", _NAME, None, "Password of generated accounts.", secret=True),
    _key("defaultuidNumber", Nullable(Integer()), None, "User id of generated accounts."),
    _key("defaultgidNumber", Nullable(Integer()), None, "Group id of generated accounts."),
    _key("auth_protocol", Nullable(MapOf(Flag())), {}, "Credentials derived at login: `kerberos ntlm cntlm citrix`."),
    _key("memberof_attribut_name", _NAME, None, "Attribute that holds the groups."),
    _key("reduce_roles_for_jwt", _NAME, None, "`raw`, `cn` or None: how roles are shortened in the user token."),
    _key("explicitproviderapproval", _NAME, None, "Explicit provider a user of this one may log in to later."),
)
EXTERNAL: Final = (
    _key("client_id", _TEXT, None, "OAuth client."),
    _key("client_secret", _TEXT, None, "OAuth client secret.", secret=True),
    _key("scope", _TEXT_OR_LIST, None, "Scopes asked for."),
    _key("issuer", _URL, None, "Issuer of identity tokens; makes them required with the scope `openid`."),
    _key("discovery_url", _URL, None, "Discovery document; `<issuer>/.well-known/openid-configuration` when absent."),
    _key("jwks_url", _URL, None, "Key set of the issuer; read from the discovery document when absent."),
    _key("pkce", Flag(), True, "Sends a PKCE challenge (S256). False for services that refuse it."),
    _key("authorization_base_url", Url(), None, "Authorization endpoint; may come from the discovery document."),
    _key("token_url", Url(), None, "Token endpoint; may come from the discovery document."),
    _key("redirect_uri_prefix", Url(), None, "`https://<site>/API/auth/oauth`."),
    _key("redirect_uri_querystring", _TEXT, None, "`manager=external&provider=<name>`."),
    _key("userinfo_auth", Flag(), None, "Whether the user is read from `userinfo_url`."),
    _key("userinfo_url", _URL, None, "User information endpoint."),
    _key("userinfomap", Nullable(MapOf(_TEXT)), None, "Field -> dotted path in the user information."),
    _key("userid_hash", Flag(), True, "False: ids that differ in case or punctuation only are one user (unsafe)."),
    _key("tls_ca_file", _NAME, None, "PEM file with the certificates of a private authority."),
    _key("include_client_id", Flag(), False, "Sends the client id and secret in the body of the token request."),
    _key("basic_auth", Flag(), False, "Accepted, without effect."),
    _key("state", _NAME, None, "Accepted, without effect: a fixed state protects nobody.", secret=True),
    _key("revoke_url", _URL, None, "Accepted, without effect."),
    _key("encoding", _NAME, "utf-8", "Character set of the user information when the answer names none."),
    _key("dialog_url", _NAME, None, "Accepted, without effect."),
    _key("auth_url", _NAME, None, "Accepted, without effect."),
    _key("callback_url", _NAME, None, "Accepted, without effect."),
)
IMPLICIT: Final = (
    _key("uid", _NAME, None, "POSIX login; the provider's name when absent."),
    _key("username", _NAME, None, "Name of an anonymous user."),
    _key("userid", _NAME, None, "Accepted, without effect: each anonymous login gets an id of its own."),
    _key("dialog_url", _NAME, None, "Page the browser goes to instead of logging in: client certificates."),
    _key("useExplicitIdentityProvider", Flag(), False, "Looks the asserted user up in Active Directory."),
)
LDAP: Final = (
    _key("servers", _NAMES, [], "Servers: `host`, `ldap://host[:port]` or `ldaps://host[:port]`."),
    _key("ldap_basedn", _NAME, None, "Base DN."),
    _key("basedn", _NAME, None, "Same as `ldap_basedn`."),
    _key("users_ou", _NAME, None, "Base of user searches; `ldap_basedn` when absent."),
    _key("groups_ou", _NAME, None, "Base of group searches; `ldap_basedn` when absent."),
    _key("goups_ou", _NAME, None, "Same as `groups_ou`."),
    _key("scope", _TEXT_OR_LIST, "SUBTREE", "Scope of user searches: `BASE`, `LEVEL` or `SUBTREE`."),
    _key("auth_type", _NAME, "SIMPLE", "`SIMPLE`, `ANONYMOUS`, `NTLM` or `KERBEROS`."),
    _key(
        "serviceaccount",
        Nullable(Shape("account", {"login": _NAME, "password": _NAME}, closed=True)),
        None,
        "`login` and `password` of the search account; `file:///path` reads the first line of a file.",
        secret=True,
    ),
    _key("ldap_connect_timeout", _SECONDS, None, "Time a connection gets."),
    _key("ldap_timeout", _SECONDS, 15, "Time an answer gets."),
    _key("ldap_ip_mode", _NAME, "IP_V4_PREFERRED", "Address family preference."),
    _key("ldap_protocol", _NAME, None, "`ldaps` makes bare server names use TLS."),
    _key("secure", Flag(), False, "True makes bare server names use TLS."),
    _key("tls_require_cert", Flag(), True, "Verify the server's certificate (ldaps and StartTLS)."),
    _key("tls_ca_file", _NAME, None, "PEM file of the authorities to trust instead of the system's."),
    _key("start_tls", Flag(), False, "Encrypts `ldap://` connections by StartTLS; no login without it."),
    _key("ldap_fqdn", _NAME, None, "Accepted, without effect."),
    _key("wins_servers", _NAMES, None, "Accepted, without effect."),
    _key("exec_timeout", _SECONDS, 10, "Time a helper program gets."),
    _key("user_filter", _NAME, None, "Finds a user by login (`%s`)."),
    _key("user_attrs", _NAMES, None, "Attributes of users."),
    _key("filter", _NAME, None, "User filter of Active Directory, or when `user_filter` is absent."),
    _key("attrs", _NAMES, None, "Attributes of users in Active Directory."),
    _key("useridattr", _NAME, None, "Attribute of the user's name."),
    _key("useruidattr", _NAME, "uid", "Attribute of the user id."),
    _key("usercnattr", _NAME, "cn", "Attribute of the first part of a user's DN."),
    _key("group_filter", _NAME, None, "Finds a group."),
    _key("group_scope", _NAME, None, "Scope of group searches."),
    _key("group_attrs", _NAMES, None, "Attributes of groups."),
    _key("recursive_search", Flag(), False, "Roles include groups of groups."),
    *(
        _key(f"{kind}_{part}", _NAMES if part == "attrs" else _NAME, None, f"{kind} query: {part}.")
        for kind in ("posixAccount", "posixGroup", "posixAccountGroup")
        for part in ("filter", "scope", "attrs")
    ),
    _key("domain", _NAME, None, "NetBIOS domain: makes the provider an Active Directory."),
    _key("kerberos_realm", Nullable(Or("str or dict", _realm)), None, "Kerberos realm, or domain -> realm."),
    _key("krb5_conf", _NAME, None, "krb5.conf used to make keytabs."),
    _key("kerberos_krb5_conf", _NAME, None, "Same as `krb5_conf`."),
    _key("krb5cctype", _NAME, "MEMORY", "Accepted, without effect: each login has a private credential cache."),
    _key("ktutil", _NAME, "/usr/bin/ktutil", "Program that makes keytabs."),
    _key("ntlm_command", _NAME, None, "Program that makes NTLM credentials."),
    _key("citrix_all_regions.ini", _NAME, None, "Template of the Citrix file All_Regions.ini."),
    _key("join_key_ldapattribut", _NAME, None, "metaexplicit: attribute with `DOMAIN\\account` of the home account."),
)
ACTIVE_DIRECTORY: Final = (
    _key("domain_fqdn", _NAME, None, "DNS domain."),
    _key("query_dcs", Flag(), False, "Finds the servers in DNS."),
    _key("dcs_list_maxage", _SECONDS, 3600, "Age after which they are looked up again."),
    _key("trusted_domains", Json(), None, "Accepted, without effect."),
    *(_key(f"printer_{part}", Json(), None, "Printer search.") for part in ("printerdn", "scope", "filter", "attrs")),
    *(_key(f"site_{part}", Json(), None, "Subnets of sites.") for part in ("subnetdn", "scope", "filter", "attrs")),
)
META: Final = (
    _key("trustedrelationship", Flag(), True, "Accepted, without effect."),
    *(
        _key(f"{prefix}_{part}", _NAMES if part == "attrs" else _NAME, None, meaning)
        for prefix, meaning in (
            ("foreign", "Search of the home account in the meta forest."),
            ("foreingmemberof", "Search of its groups."),
            ("foreignmemberof", "Same as `foreingmemberof_...`."),
        )
        for part in ("basedn", "scope", "filter", "attrs")
    ),
)
PROVIDER_KEYS: Final[Mapping[str, tuple[Option, ...]]] = {
    "external": (*COMMON, *EXTERNAL),
    "implicit": (*COMMON, *IMPLICIT, *LDAP, *ACTIVE_DIRECTORY),
    "explicit": (*COMMON, *LDAP, *ACTIVE_DIRECTORY),
    "metaexplicit": (*COMMON, *LDAP, *ACTIVE_DIRECTORY, *META),
}
"""Keys a provider of each manager may have."""


def check_provider(manager: str, values: Mapping[str, Any], at: Place) -> None:
    """Warn about misspelt keys and wrong types of one provider; the provider itself is not changed."""
    known = {declared.key: declared for declared in PROVIDER_KEYS[manager]}
    before = len(at.report.problems)
    for key, value in values.items():
        declared = known.get(key)
        place = at.child(key, secret=True)
        if declared is None:
            place.warn(unknown_text(key, known))
            continue
        try:
            declared.kind.parse(value, place)
        except Rejected:
            continue
    at.report.lower(before, Level.WARNING)
    policies = values.get("policies")
    if isinstance(policies, Mapping):
        _check_policies(policies, at.child("policies"))


def _check_policies(policies: Mapping[str, Any], at: Place) -> None:
    """`acls` was shipped where `acl` is read; both are, but a set `acls` deserves the right name."""
    if policies.get("acls") is not None:
        at.child("acls").warn("this name is misspelt, use 'acl'")
    for key in policies:
        if key not in ("acl", "acls", "rules"):
            at.child(key).warn(unknown_text(key, ("acl", "rules")))
