"""What ``user/whoami`` tells."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from oc.auth.whoami import describe_user
from oc.model.identity import Identity

FRY = Identity("planet", "ldap", "fry", "Philip J. Fry")
KEYS = [
    *("sessionid", "userid", "name", "photo", "provider", "providertype"),
    *("target_ip", "container_id", "hostedby"),
]


@dataclass
class Place:
    name: str = "fry-1c0ffee"
    ip: str | None = "10.244.0.7"
    node: str | None = "node1"


def test_nobody_is_the_same_object_with_nulls() -> None:
    answer = describe_user(None, {"mail": "x"}, Place())
    assert list(answer) == KEYS
    assert answer.pop("sessionid") == "jwt_token"
    assert set(answer.values()) == {None}


def test_a_user_without_desktop_and_directory() -> None:
    answer = describe_user(FRY)
    assert list(answer) == KEYS
    assert (answer["userid"], answer["name"]) == ("fry", "Philip J. Fry")
    assert (answer["provider"], answer["providertype"]) == ("planet", "ldap")
    assert answer["target_ip"] is None


def test_the_desktop_is_named() -> None:
    answer = describe_user(FRY, None, Place())
    assert (answer["target_ip"], answer["container_id"], answer["hostedby"]) == ("10.244.0.7", "fry-1c0ffee", "node1")


def test_directory_fields_come_with_the_ldif_secret_only() -> None:
    answer = describe_user(FRY, {"mail": "fry@x", "cn": ["Fry", "Philip"], "sn": b"Fry", "userPassword": "x"})
    assert list(answer) == [*KEYS, "sn", "cn", "mail", "initials", "givenName", "description"]
    assert (answer["mail"], answer["cn"], answer["sn"], answer["initials"]) == ("fry@x", ["Fry", "Philip"], "Fry", None)


def test_the_photo_is_base64_and_depends_on_the_provider_type() -> None:
    ldif = {"jpegPhoto": [b"\xff\xd8jpeg"], "thumbnailPhoto": b"\xff\xd8thumb"}
    assert base64.b64decode(describe_user(FRY, ldif)["photo"]) == b"\xff\xd8jpeg"
    active = Identity("ad", "activedirectory", "fry", "Fry")
    assert base64.b64decode(describe_user(active, ldif)["photo"]) == b"\xff\xd8thumb"
    assert describe_user(Identity("a", "anonymous", "u", "n"), ldif)["photo"] is None
    assert describe_user(FRY, {"jpegPhoto": "/9hqcGVn"})["photo"] == "/9hqcGVn"
    assert describe_user(FRY, {"jpegPhoto": []})["photo"] is None
