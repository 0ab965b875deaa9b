"""Why a login gets its labels, for operators: the rules of one provider applied to a login they describe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec

from oc.auth.labels import address_label
from oc.auth.providers import Account, Provider
from oc.auth.providers.ldap import LdapProvider
from oc.auth.requests import Credential
from oc.auth.rules import RuleContext, explain_rules, faults
from oc.auth.rules.geography import position
from oc.errors import AuthenticationError, BadRequestError
from oc.model.acl import permits

NOBODY: Final = "-"
Short = Annotated[str, msgspec.Meta(max_length=256)]
Text = Annotated[str, msgspec.Meta(max_length=4096)]


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The login to explain. What is absent is unknown, as for a user who does not have it.

    provider: its name. userid: looked up in the provider's directory with its service account; then ``roles`` and
    ``attributes`` replace what is found there, if given. client_ip: after the proxy rules; the asker's when absent.
    asnumber: looked up by the address when absent.
    """

    provider: Short
    userid: Credential | None = None
    client_ip: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    headers: Annotated[dict[Short, Text], msgspec.Meta(max_length=100)] = {}
    roles: Annotated[list[Text], msgspec.Meta(max_length=1000)] | None = None
    attributes: Annotated[dict[Short, Any], msgspec.Meta(max_length=1000)] | None = None
    geolocation: Any = None
    asnumber: Annotated[str, msgspec.Meta(max_length=20)] | None = None


class ExplainedLogin(msgspec.Struct, frozen=True):
    """The answer, JSON-like.

    source: where roles and attributes come from, ``directory`` or ``question``. labels: those of the login, the ones
    of ``builtin`` included; rules win. permitted: whether the provider's ACL lets such a user in. rules: each with its
    conditions and their tests, why it gives its label or not, and the later rule that overrides it. faulty: name of
    each rule that is left out, and why.
    """

    provider: str
    userid: str | None
    source: str
    client_ip: str
    roles: tuple[str, ...]
    labels: Mapping[str, str]
    builtin: Mapping[str, str]
    permitted: bool
    rules: tuple[dict[str, Any], ...]
    faulty: Mapping[str, str]


def login_context(
    account: Account,
    client_ip: str,
    asnumber: str | None,
    place: Mapping[str, float] | None,
    headers: Mapping[str, str],
) -> RuleContext:
    """A login as rules see it. headers: names in lower case."""
    return RuleContext(
        client_ip=client_ip,
        headers=headers,
        roles=account.roles,
        attributes=account.attributes,
        geolocation=place,
        asnumber=asnumber,
        member_of=account.member_of,
    )


def builtin_labels(client_ip: str, asnumber: str | None) -> dict[str, str]:
    """The labels every login has, whatever the rules say."""
    labels = {"ipsource": address_label(client_ip), "asnumber": asnumber}
    return {key: value for key, value in labels.items() if value}


def explain(provider: Provider, question: Question, client_ip: str, asnumber: str | None) -> ExplainedLogin:
    """Apply the provider's rules to the login in question; nobody is logged in and nothing is written.

    Raises BadRequestError for a user who cannot be looked up.
    """
    with _account(provider, question) as account:
        headers = {name.lower(): value for name, value in question.headers.items()}
        context = login_context(account, client_ip, asnumber, position(question.geolocation), headers)
        explanation = explain_rules(provider.rules, context)
    builtin = builtin_labels(client_ip, asnumber)
    labels = {**builtin, **explanation.labels}
    return ExplainedLogin(
        provider=provider.name,
        userid=question.userid and account.userid,
        source="directory" if question.userid else "question",
        client_ip=client_ip,
        roles=account.roles,
        labels=labels,
        builtin=builtin,
        permitted=permits(provider.acl, labels),
        rules=explanation.rules,
        faulty=faults((provider.keys.policies or {}).get("rules")),
    )


@contextmanager
def _account(provider: Provider, question: Question) -> Iterator[Account]:
    try:
        with _known(provider, question.userid) as account:
            roles = account.roles if question.roles is None else tuple(question.roles)
            attributes = account.attributes if question.attributes is None else question.attributes
            yield replace(account, roles=roles, attributes=attributes)
    except AuthenticationError as error:
        # the user or the service account was refused, not the operator who asks
        raise BadRequestError(error.message, doing=error.doing) from error


def _known(provider: Provider, userid: str | None) -> AbstractContextManager[Account]:
    if not userid:
        return nullcontext(Account(userid=NOBODY, name=NOBODY))
    if not isinstance(provider, LdapProvider):
        raise BadRequestError(f"provider {provider.name} has no directory: give roles and attributes, not a userid")
    return provider.look_up(userid)
