"""Selectors: exactly one user's objects; implicit providers never share."""

from __future__ import annotations

from typing import Any

import pytest

from oc.model.identity import Identity
from oc.od.orchestrator.manifests import labels, selectors
from oc.od.settings import Settings, settings_from_mapping

from . import configurations as conf
from .people import ANONYMOUS, FRY


def configured(**values: Any) -> Settings:
    given = {key.replace("__", "."): value for key, value in values.items()}
    return settings_from_mapping({**conf.shipped(), **given})


def shared() -> Settings:
    return configured(desktop__authproviderneverchange=False)


OTHER_FRY = Identity("moon", "ldap", "fry", "Fry of the moon")
CERTIFICATE_FRY = Identity("certificate", "implicit", "fry", "fry")


def test_the_provider_is_part_of_every_selector_by_default() -> None:
    settings = configured()
    assert selectors.desktop_selector(settings, FRY) == "access_userid=fry,access_provider=planet,type=x11server"
    assert (
        selectors.application_selector(settings, FRY) == "access_userid=fry,access_provider=planet,type=pod_application"
    )
    assert selectors.secret_selector(settings, FRY) == "access_userid=fry,access_provider=planet"
    assert (
        selectors.secret_selector(settings, FRY, "auth") == "access_userid=fry,access_provider=planet,access_type=auth"
    )


def test_providers_may_share_a_user_id_when_configured() -> None:
    settings = shared()
    assert selectors.desktop_selector(settings, FRY) == (
        "access_userid=fry,access_provider notin (anonymous,certificate),type=x11server"
    )
    assert selectors.is_users(settings, FRY, labels.identity_labels(OTHER_FRY))


@pytest.mark.parametrize("identity", [ANONYMOUS, CERTIFICATE_FRY])
def test_an_implicit_provider_is_always_bound(identity: Identity) -> None:
    assert f"access_provider={identity.provider}" in selectors.user_selector(shared(), identity)


def test_an_implicit_provider_never_reaches_the_desktop_of_another_and_the_other_way_round() -> None:
    settings = shared()
    assert not selectors.is_users(settings, CERTIFICATE_FRY, labels.identity_labels(FRY))
    assert not selectors.is_users(settings, FRY, labels.identity_labels(CERTIFICATE_FRY))


def test_two_providers_do_not_share_by_default() -> None:
    assert not selectors.is_users(configured(), OTHER_FRY, labels.identity_labels(FRY))


@pytest.mark.parametrize("settings", [configured(), shared()])
def test_a_user_is_never_somebody_with_another_id(settings: Settings) -> None:
    leela = labels.identity_labels(Identity("planet", "ldap", "leela", "Leela"))
    assert not selectors.is_users(settings, FRY, leela)
    assert not selectors.is_users(settings, FRY, {})
    assert selectors.is_users(settings, FRY, labels.identity_labels(FRY))


def test_ownership_needs_user_and_provider_whatever_is_configured() -> None:
    assert selectors.belongs_to(FRY, labels.identity_labels(FRY))
    assert not selectors.belongs_to(FRY, labels.identity_labels(OTHER_FRY))
    assert not selectors.belongs_to(FRY, {"access_userid": "fry"})
    assert not selectors.belongs_to(FRY, {})


def test_a_claim_is_found_by_user_provider_and_type() -> None:
    assert selectors.claim_selector(FRY) == "access_provider=planet,access_providertype=ldap,access_userid=fry"
