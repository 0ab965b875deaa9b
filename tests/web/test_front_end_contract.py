"""Facts the clients depend on that no other test names: see test_client_contract.py for the whole list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.service import Service
from oc.od.settings.reader import read_file
from tests.support import Api
from tests.waiting import until

from .matrix import APART, INSIDE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def user(api: Api) -> Iterator[Api]:
    """Somebody with a desktop and an application inside it."""
    for one in (INSIDE, APART):
        api.manager("POST", "image", json=one).raise_for_status()
    api.login()
    api.result("composer/launchdesktop")
    yield api
    api.post("auth/logout")


def started(user: Api, image: str) -> dict[str, Any]:
    """The list entry of an application, once it runs."""
    ran = user.result("composer/ocrun", {"image": image})
    found = until(lambda: [one for one in user.result("composer/listcontainer") if one["id"] == ran["container_id"]])
    entry: dict[str, Any] = found[0]
    return {**entry, "ran": ran}


def test_texts_of_applications_are_texts_and_lists_are_lists(user: Api):
    assert isinstance(user.result("composer/getlogs"), str)
    entry = started(user, INSIDE["RepoTags"][0])
    named = {"podname": entry["podname"], "containerid": entry["id"]}
    assert isinstance(user.result("composer/logcontainer", named), str)
    environment = user.result("composer/envcontainer", named)
    assert environment
    assert all(isinstance(name, str) and isinstance(value, str | None) for name, value in environment.items())
    assert isinstance(user.result("composer/listcontainer"), list)
    assert all("/" in kind for kind in user.result("composer/listsecrets"))


def test_applications_of_one_phase_come_without_an_envelope(user: Api):
    entry = started(user, INSIDE["RepoTags"][0])
    until(lambda: user.post("composer/list_applications_by_phase", {"phase": "Running"}).json())
    (found,) = user.post("composer/list_applications_by_phase", {"phase": "Running"}).json()
    assert found["container_id"] == found["id"] == entry["id"]
    assert {"name", "displayname", "icon", "icondata", "launch", "reason"} <= set(found)
    for phase in ("Waiting", "Terminated", "Completed", "Succeeded"):
        assert user.post("composer/list_applications_by_phase", {"phase": phase}).json() == []
    assert user.post("composer/list_applications_by_phase", {"phase": "waiting"}).status_code == 400


def test_stopping_an_application_answers_true(user: Api):
    entry = started(user, APART["RepoTags"][0])
    assert (entry["ran"]["type"], entry["type"]) == ("pod_application", "pod_application")
    answer = user.post("composer/stopcontainer", {"podname": entry["podname"], "containerid": entry["id"]}).json()
    assert (answer["status"], answer["result"]) == (200, True)


def test_the_console_reads_the_pod_as_kubernetes_writes_it(user: Api):
    started(user, INSIDE["RepoTags"][0])
    name = user.post("user/whoami").json()["container_id"]
    listed = next(one for one in user.manager("GET", "desktop").json() if one["id"] == name)
    assert {
        "name", "status", "ipAddr", "id", "creation_timestamp", "nodehostname", "container_name", "container_id",
    } <= set(listed)  # fmt: skip
    pod = user.manager("GET", f"desktop/{name}").json()
    metadata = {"name", "namespace", "uid", "resourceVersion", "creationTimestamp", "labels", "annotations"}
    assert metadata <= set(pod["metadata"])
    assert isinstance(pod["metadata"]["annotations"]["lastlogin_datetime"], str)
    spec = {"nodeName", "restartPolicy", "serviceAccountName", "schedulerName", "volumes", "containers"}
    assert spec <= set(pod["spec"])
    assert {"name", "image", "imagePullPolicy"} <= set(pod["spec"]["ephemeralContainers"][0])
    assert {"phase", "qosClass", "hostIP", "podIP", "startTime", "conditions", "containerStatuses"} <= set(
        pod["status"]
    )
    assert {"name", "image", "state", "containerID"} <= set(pod["status"]["ephemeralContainerStatuses"][0])


def test_an_empty_segment_in_the_consoles_usage_url_changes_nothing(user: Api):
    entry = started(user, INSIDE["RepoTags"][0])
    answer = user.manager("GET", f"desktop/{entry['podname']}//container/{entry['id']}/resources_usage")
    assert answer.status_code == 200
    assert isinstance(answer.json()["timestamp"], float)


def test_the_login_history_shows_date_address_and_browser(api: Api):
    api.request("POST", "auth/auth", json={"provider": "anonymous"}).raise_for_status()
    api.login()
    rows = until(lambda: api.result("store/getcollection", {"key": "loginHistory"}))
    assert all(isinstance(row[field], str) and row[field] for row in rows for field in ("date", "ipaddr", "useragent"))


def test_an_open_description_of_the_desktop_names_client_and_user(own_service: Callable[..., Service]):
    policies = {"ComposerController": {"requestsallowed": {"getdesktopdescription": True}}}
    overrides = {"controllers": policies, "desktop.description": {"sshconfig": {"a": {"linux": "ssh {{user}}"}}}}
    with Api(own_service(overrides).url) as api:
        api.login()
        api.result("composer/launchdesktop")
        described = api.result("composer/getdesktopdescription")
        api.post("auth/logout")
    assert described["clientipaddr"] == "127.0.0.1"
    assert described["user"]


def test_texts_of_the_welcome_page_and_of_execute_classes_are_the_configured_ones(own_service: Callable[..., Service]):
    welcome = {"welcome": [{"notbefore": None, "notafter": None, "title": "Hello", "information": "Maintenance"}]}
    classes = {
        "default": {"description": "small", "resources": {"limits": {"cpu": "1"}}},
        "gold": {"description": "large", "nodeSelector": {"secret": "rack"}},
    }
    overrides = {
        "welcomeinfo": welcome,
        "executeclasses": classes,
        "desktop.features_permissions": ["read"],
        "front.imagenotification": {"ephemeral_container": True, "pod_application": False},
    }
    with Api(own_service(overrides).url) as api:

        def ask(name: str) -> Any:
            return api.post("core/getkeyinfo", {"provider": name}).json()["id"]

        assert ask("welcomeinfo") == welcome
        assert ask("features_permissions_executeclasses") == {
            "default": {"description": "small"},
            "gold": {"description": "large"},
        }
        assert ask("imagenotificationconfig") == {"ephemeral_container": True, "pod_application": False}


def test_bare_answers_have_no_error_and_no_status_of_their_own(user: Api):
    for path in ("version", "core/getkeyinfo", "user/whoami", "user/getinfo"):
        document = user.post(path).json()
        assert "error" not in document
        assert document.get("status", 200) == 200


def test_the_shipped_file_listens_where_router_and_probes_look():
    values = read_file(ROOT / "od.config").values
    assert (values["server.socket_host"], values["server.socket_port"]) == ("0.0.0.0", 8000)


@pytest.mark.parametrize("name", ["Dockerfile.alpine", "Dockerfile.ubuntu"])
def test_the_images_hold_what_scripts_call_inside(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    final = text[text.rindex("\nFROM ") :]
    assert {"curl", "tar"} <= set(final.replace("\\\n", " ").split())
