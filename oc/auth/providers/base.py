"""What every provider has: the common keys (spec auth.md 1.3) and the interface the login uses."""

from __future__ import annotations

import abc
import base64
import functools
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import msgspec

from oc.auth.accounts import AccountDefaults
from oc.auth.rules import Rule, compile_rules
from oc.auth.sha512crypt import sha512_crypt
from oc.model.identity import ClientInfo, PosixAccount

logger = logging.getLogger(__name__)

PERMIT_ALL: Final[Mapping[str, Any]] = {"permit": ["all"]}
MAX_ICON: Final = 256 * 1024
"""Largest icon file sent to clients, in bytes."""


K = TypeVar("K", bound=msgspec.Struct)


class ProviderError(Exception):
    """A provider's dict in the configuration cannot be used. ``str()`` names key and reason, never a value."""


class CommonKeys(msgspec.Struct, frozen=True):
    """The keys of every provider, by their names in the configuration."""

    type: str | None = None
    displayname: str | None = None
    caption: str | None = None
    icon: str | None = None
    textcolor: str | None = None
    backgroundcolor: str | None = None
    default: bool = False
    showclientdata: bool = True
    auth_only: bool = False
    policies: dict[str, Any] | None = None
    defaultuid: str | None = None
    defaultpassword: str | None = None
    defaultuidNumber: int | None = None  # noqa: N815 - name of the configuration key
    defaultgidNumber: int | None = None  # noqa: N815
    auth_protocol: dict[str, Any] | None = None
    memberof_attribut_name: str | None = None
    reduce_roles_for_jwt: str | msgspec.UnsetType | None = msgspec.UNSET
    explicitproviderapproval: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What providers get besides their own dict. ``base``: the directory relative paths start from.

    insecure_transport, relax_token_scope: the keys OAUTHLIB_INSECURE_TRANSPORT and OAUTHLIB_RELAX_TOKEN_SCOPE.
    """

    defaults: AccountDefaults = field(default_factory=AccountDefaults)
    base: Path = field(default_factory=Path)
    insecure_transport: bool = False
    relax_token_scope: bool = False
    home: Callable[[str | None], Provider | None] = lambda domain: None
    """Explicit provider of a NetBIOS domain; for None the one that serves logins without a domain."""


@dataclass(frozen=True, slots=True)
class CodeGrant:
    """What an external provider sent back, and what only this service and browser know of that login."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to log in. ``asserted`` is a user named by a trusted proxy, never by the user's own request.

    grant: set for users who come back from an external provider.
    """

    client: ClientInfo
    userid: str | None = None
    password: str | None = field(default=None, repr=False)
    asserted: str | None = None
    grant: CodeGrant | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """What a provider found out about a user.

    attributes: JSON-like values (bytes allowed), no passwords. roles: groups as the provider names them.
    posix: None when the provider has no POSIX data. password: hashed into the shadow file, None for the default one.
    claims: more secrets by kind (``kerberos``, ``ntlm`` ...). display: provider name for the success message.
    member_of: asks the directory about one group; usable until the attempt is closed.
    views: set when several providers know the user, the one whose user it is first.
    new_user: the user id was made up for this login.
    """

    userid: str
    name: str
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    roles: tuple[str, ...] = ()
    posix: PosixAccount | None = None
    password: str | None = field(default=None, repr=False)
    domain: str | None = None
    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    protocol: Mapping[str, bool] | str | None = None
    display: str = ""
    member_of: Callable[[str], bool] | None = field(default=None, repr=False)
    views: tuple[View, ...] = field(default=(), repr=False)
    new_user: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """What one of several providers knows of a user: its rules apply to ``account``, its ACL must permit the login.

    labels: whether what its rules give is added to the user's labels.
    """

    provider: Provider
    account: Account
    labels: bool = True


class Provider(abc.ABC):
    """One configured provider. Immutable after construction and used by many threads at once."""

    manager: ClassVar[str]
    takes_credentials: ClassVar[bool] = False
    """Whether it checks a login and a password: then the login may be banned, and failures count."""

    directory: ClassVar[bool] = False
    """Whether roles are DNs of a directory."""

    default_type: ClassVar[str | None] = None
    """``providertype`` when the key ``type`` is absent; None stands for the provider's name."""

    default_reduction: ClassVar[str] = "raw"

    def __init__(self, name: str, given: Mapping[str, Any], context: ProviderContext) -> None:
        keys = read_keys(given, CommonKeys)
        where = f"authmanagers.{self.manager}.providers.{name}"
        policies = keys.policies or {}
        acl = policies.get("acl", policies.get("acls"))
        self.name = name
        self.keys = keys
        self.context = context
        self.providertype: str = keys.type or self.default_type or name
        self.displayname: str = keys.displayname or name
        self.acl: Any = PERMIT_ALL if acl is None else acl
        self.rules: tuple[Rule, ...] = compile_rules(policies.get("rules"), f"{where}.policies.rules")
        self.account_defaults = _account_defaults(keys, context.defaults)
        self._icon_data = _icon_data(keys.icon, context.base, where)
        if not isinstance(self.acl, dict):
            logger.error("%s.policies.acl: expected a dict; the provider admits nobody", where)

    @functools.cached_property
    def default_sha512(self) -> str:
        """The hash of the default password, made once: who has this password has it in common with all the others,
        so that a salt for each of them would hide nothing.
        """
        return sha512_crypt(self.account_defaults.password)

    @property
    def reduction(self) -> str | None:
        """How roles are shortened for the token."""
        chosen = self.keys.reduce_roles_for_jwt
        return self.default_reduction if isinstance(chosen, msgspec.UnsetType) else chosen

    @property
    def visible(self) -> bool:
        """Whether the login page shows it."""
        return self.keys.showclientdata

    @property
    def direct(self) -> bool:
        """Whether the ``auth`` route serves it; False for providers that only trust another service's word."""
        return True

    def public(self) -> dict[str, Any]:
        """What the login page may know (spec auth.md 2.2): never a secret."""
        return {
            "name": self.name,
            "caption": self.keys.caption or self.displayname,
            "displayname": self.displayname,
            "icon": self.keys.icon,
            "backgroundcolor": self.keys.backgroundcolor,
            "textcolor": self.keys.textcolor,
            "type": self.providertype,
            "icondata": self._icon_data,
        }

    @abc.abstractmethod
    def open(self, attempt: Attempt) -> AbstractContextManager[Account]:
        """Authenticate; connections stay open until the context ends.

        Raises InvalidCredentialsError for refused credentials, another AuthenticationError otherwise.
        """


def read_keys(given: Mapping[str, Any], kind: type[K]) -> K:
    """The keys of ``given`` that ``kind`` knows, checked. Raises ProviderError naming key and expected type.

    None stands for the default, as in the configuration, but where it has a meaning of its own.
    """
    filled = {key: value for key, value in given.items() if value is not None or key == "reduce_roles_for_jwt"}
    try:
        return msgspec.convert(filled, kind)
    except msgspec.ValidationError as error:
        raise ProviderError(str(error)) from error


def _account_defaults(keys: CommonKeys, general: AccountDefaults) -> AccountDefaults:
    changes: dict[str, Any] = {
        "uid": keys.defaultuid,
        "password": keys.defaultpassword,
        "uid_number": keys.defaultuidNumber,
        "gid_number": keys.defaultgidNumber,
    }
    return replace(general, **{name: value for name, value in changes.items() if value is not None})


def _icon_data(icon: str | None, base: Path, where: str) -> str | None:
    """Base64 of the icon file, None when there is none. Only files below ``base`` are read."""
    if not icon:
        return None
    root = base.resolve()
    path = (root / icon).resolve()
    if not path.is_relative_to(root / "img"):
        logger.warning("%s.icon: not below the directory img, it is not sent to clients", where)
        return None
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ICON + 1)
    except OSError as error:
        logger.warning("%s.icon: cannot read %s: %s", where, icon, error.strerror)
        return None
    if len(data) > MAX_ICON:
        logger.warning("%s.icon: %s is larger than %d bytes", where, icon, MAX_ICON)
        return None
    return base64.b64encode(data).decode()
