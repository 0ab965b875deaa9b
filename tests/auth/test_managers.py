"""Managers and providers: loading, look-up, what the login page is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from oc.auth.accounts import AccountDefaults
from oc.auth.managers import Managers
from oc.auth.providers import PROVIDER_MAKERS, Account, Attempt, Provider, ProviderContext
from oc.errors import AuthenticationError
from oc.od.settings import settings_from_mapping


class Directory(Provider):
    """A provider of the manager ``explicit``, as later ones will register."""

    manager: ClassVar[str] = "explicit"
    takes_credentials: ClassVar[bool] = True
    default_type: ClassVar[str | None] = "ldap"

    @contextmanager
    def open(self, attempt: Attempt) -> Iterator[Account]:
        yield Account("fry", "Fry")


class Meta(Directory):
    manager: ClassVar[str] = "metaexplicit"


MAKERS = {**PROVIDER_MAKERS, "explicit": Directory, "metaexplicit": Meta}
CONTEXT = ProviderContext(AccountDefaults(password="x"))


def managers(tree: Mapping[str, Any], *, makers: Any = MAKERS, base: Path | None = None) -> Managers:
    settings = settings_from_mapping({"authmanagers": dict(tree)})
    context = CONTEXT if base is None else ProviderContext(CONTEXT.defaults, base)
    return Managers(settings.auth.managers, context, makers)


def implicit(**providers: Any) -> dict[str, Any]:
    return {"implicit": {"providers": providers}}


def explicit(**providers: Any) -> dict[str, Any]:
    return {"explicit": {"providers": providers}}


def test_the_login_page_learns_exactly_the_documented_fields() -> None:
    given = {
        "displayname": "Anonymous",
        "caption": "Guest access",
        "textcolor": "#000000",
        "backgroundcolor": "#FFFFFF",
        "userid": "anonymous",
        "username": "Anonymous",
        "defaultpassword": "lmdpocpetit",
        "policies": {"acls": None, "rules": None},
    }
    assert managers(implicit(anonymous=given)).public() == {
        "managers": [
            {
                "name": "implicit",
                "providers": [
                    {
                        "name": "anonymous",
                        "caption": "Guest access",
                        "displayname": "Anonymous",
                        "icon": None,
                        "backgroundcolor": "#FFFFFF",
                        "textcolor": "#000000",
                        "type": "anonymous",
                        "icondata": None,
                    }
                ],
            }
        ]
    }


def test_names_stand_in_for_missing_captions() -> None:
    [provider] = managers(implicit(guest={})).public()["managers"][0]["providers"]
    assert (provider["caption"], provider["displayname"], provider["type"]) == ("guest", "guest", "guest")


def test_no_secret_of_a_provider_reaches_the_login_page() -> None:
    given = {"defaultpassword": "hunter2", "serviceaccount": {"login": "cn=x", "password": "hunter2"}, "uid": "u"}
    tree = {**explicit(planet=given), **implicit(anonymous=given)}
    assert "hunter2" not in json.dumps(managers(tree).public())


def test_managers_come_in_look_up_order_and_providers_in_theirs() -> None:
    tree = {**implicit(b={}, a={}), **explicit(planet={}), "external": {"providers": {}}}
    public = managers(tree).public()["managers"]
    assert [manager["name"] for manager in public] == ["explicit", "implicit"]
    assert [provider["name"] for provider in public[1]["providers"]] == ["b", "a"]


def test_a_hidden_provider_is_not_shown_but_found() -> None:
    found = managers(implicit(anonymous={"showclientdata": False}))
    assert found.public()["managers"] == [{"name": "implicit", "providers": []}]
    assert found.for_request("anonymous").name == "anonymous"


@pytest.mark.parametrize("tree", [{}, {"implicit": {}}, {"implicit": {"providers": {}}}])
def test_nothing_configured_is_an_empty_list(tree: dict[str, Any]) -> None:
    assert managers(tree).public() == {"managers": []}


def test_switched_off_managers_and_providers_do_not_exist() -> None:
    tree = {"implicit": {"enabled": False, "providers": {"anonymous": {}}}, **explicit(planet={"enabled": False})}
    found = managers(tree)
    assert found.public() == {"managers": []}
    for name in ("anonymous", "planet"):
        with pytest.raises(AuthenticationError, match=name):
            found.for_request(name)


def test_the_explicit_manager_tells_domains_and_its_default() -> None:
    tree = {"explicit": {"show_domains": True, "providers": {"a": {}, "planet": {"default": True}}}}
    [manager] = managers(tree).public()["managers"]
    assert (manager["default_domain"], manager["show_domains"]) == ("planet", True)


@pytest.mark.parametrize(("configured", "told"), [("PLANET", "planet"), ("nobody", "a"), (None, "a")])
def test_a_configured_default_domain_counts_when_it_names_a_provider(configured: str | None, told: str) -> None:
    tree = {"explicit": {"default_domain": configured, "providers": {"a": {"default": True}, "planet": {}}}}
    assert managers(tree).public()["managers"][0]["default_domain"] == told


def test_without_a_default_there_is_none() -> None:
    assert managers(explicit(planet={})).public()["managers"][0]["default_domain"] is None


@pytest.mark.parametrize("name", ["Anonymous", "ANONYMOUS", "anonymous"])
def test_a_provider_is_found_in_any_case(name: str) -> None:
    assert managers(implicit(Anonymous={})).for_request(name).name == "Anonymous"


def test_the_first_manager_that_has_the_name_serves_it(caplog: pytest.LogCaptureFixture) -> None:
    found = managers({**implicit(planet={}), **explicit(Planet={})})
    assert found.for_request("planet").manager == "explicit"
    assert found.find("planet", "implicit").manager == "implicit"
    assert "implicit.providers.planet" in caplog.text


def test_two_names_that_differ_by_case_are_one(caplog: pytest.LogCaptureFixture) -> None:
    found = managers(implicit(guest={"username": "first"}, GUEST={"username": "second"}))
    assert [provider.name for manager in found for provider in manager.providers.values()] == ["guest"]
    assert "GUEST" in caplog.text


@pytest.mark.parametrize("name", [None, "", 5, [], {"a": 1}, True])
def test_a_request_without_a_provider_name_is_refused(name: object) -> None:
    with pytest.raises(AuthenticationError) as caught:
        managers(implicit(anonymous={})).for_request(name)
    assert caught.value.message == "missing provider parameter"


def test_without_a_name_the_default_metadirectory_serves() -> None:
    meta = {"metaexplicit": {"providers": {"metadirectory": {"default": True}, "other": {}}}}
    assert managers(meta).for_request(None).name == "metadirectory"
    meta["metaexplicit"]["providers"]["metadirectory"] = {}
    with pytest.raises(AuthenticationError, match="missing provider parameter"):
        managers(meta).for_request(None)


def test_an_unknown_provider_is_named_but_never_in_full_length() -> None:
    with pytest.raises(AuthenticationError, match="provider nowhere not found"):
        managers(implicit(anonymous={})).for_request("nowhere")
    with pytest.raises(AuthenticationError) as caught:
        managers({}).for_request("evil\r\nname\x1b[31m" + "x" * 10_000)
    assert len(caught.value.message) < 150
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "faulty",
    [
        {"displayname": 5},
        {"icon": ["x"]},
        {"policies": "text"},
        {"default": "yes"},
        {"defaultuidNumber": "x"},
        {"uid": "漢字"},
        {"uid": 5},
        {"useExplicitIdentityProvider": True},
    ],
)
def test_a_faulty_provider_is_logged_and_the_others_stay(faulty: Any, caplog: pytest.LogCaptureFixture) -> None:
    found = managers(implicit(bad=faulty, good={}))
    assert [provider["name"] for provider in found.public()["managers"][0]["providers"]] == ["good"]
    assert "implicit.providers.bad" in caplog.text


def test_a_value_of_a_faulty_provider_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    managers(implicit(bad={"defaultpassword": ["hunter2"]}))
    assert "defaultpassword" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_kind_of_login_this_version_does_not_have_is_said_so(caplog: pytest.LogCaptureFixture) -> None:
    found = managers({**explicit(planet={}), **implicit(anonymous={})}, makers={"implicit": MAKERS["implicit"]})
    assert "authmanagers.explicit.providers.planet: this version has no explicit login" in caplog.text
    assert [manager["name"] for manager in found.public()["managers"]] == ["implicit"]
    with pytest.raises(AuthenticationError, match="planet not found"):
        found.for_request("planet")


@pytest.mark.parametrize("policies", [None, {}, {"acls": None}, {"acl": None, "rules": None}])
def test_without_an_acl_everybody_is_admitted(policies: Any) -> None:
    provider = managers(implicit(anonymous={"policies": policies})).for_request("anonymous")
    assert provider.acl == {"permit": ["all"]}


def test_the_other_spelling_of_acl_is_read() -> None:
    acl = {"permit": ["crew"]}
    assert managers(implicit(a={"policies": {"acls": acl}})).for_request("a").acl == acl


def test_a_dialog_url_is_told_only_when_configured() -> None:
    found = managers(implicit(sslclient={"dialog_url": "https://tls.example.org/x"}, anonymous={}))
    by_name = {provider["name"]: provider for provider in found.public()["managers"][0]["providers"]}
    assert by_name["sslclient"]["dialog_url"] == "https://tls.example.org/x"
    assert "dialog_url" not in by_name["anonymous"]


def test_the_icon_travels_as_base64(tmp_path: Path) -> None:
    icon = tmp_path / "img" / "auth" / "a.svg"
    icon.parent.mkdir(parents=True)
    icon.write_bytes(b"<svg/>")
    found = managers(implicit(anonymous={"icon": "img/auth/a.svg"}), base=tmp_path)
    [provider] = found.public()["managers"][0]["providers"]
    assert provider["icon"] == "img/auth/a.svg"
    assert base64.b64decode(provider["icondata"]) == b"<svg/>"


@pytest.mark.parametrize(
    "icon", ["../secret", "/etc/passwd", "img/../secret", "img/absent.svg", "secret", "img", "img/link"]
)
def test_no_other_file_travels_as_an_icon(tmp_path: Path, icon: str) -> None:
    base = tmp_path / "base"
    (base / "img").mkdir(parents=True)
    (tmp_path / "secret").write_text("hunter2")
    (base / "secret").write_text("hunter2")
    (base / "img" / "link").symlink_to(tmp_path / "secret")
    [provider] = managers(implicit(anonymous={"icon": icon}), base=base).public()["managers"][0]["providers"]
    assert provider["icondata"] is None


def test_an_icon_of_absurd_size_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "big.svg").write_bytes(b"x" * 300_000)
    [provider] = managers(implicit(a={"icon": "img/big.svg"}), base=tmp_path).public()["managers"][0]["providers"]
    assert provider["icondata"] is None
