"""The routes of core, user, store, accounting and manager on a real pyos with its database, cache and cluster."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from devstack.service import Service
from tests.support import Api
from tests.waiting import until

IMAGE = {
    "Id": "sha256:" + "ab" * 32,
    "RepoTags": ["registry.example/team/paint.d:1.0"],
    "Architecture": "amd64",
    "Os": "linux",
    "Config": {
        "Labels": {
            "oc.name": "paint",
            "oc.launch": "paint.Paint",
            "oc.icon": "paint.svg",
            "oc.icondata": "PHN2Zy8+",
            "oc.displayname": "Paint",
            "oc.cat": "graphics",
        }
    },
}


@pytest.fixture
def user(api: Api) -> Api:
    api.login()
    return api


def image(tag: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(IMAGE))
    document["RepoTags"] = [tag]
    document["Id"] = "sha256:" + uuid.uuid4().hex * 2
    return document


class TestCore:
    def test_menu_configuration_and_colors_are_given_before_the_login(self, api: Api):
        menu = api.post("core/getkeyinfo", {"provider": "menuconfig"}).json()
        assert menu["callbackurl"] is None
        assert menu["id"]["settings"] is True
        assert menu["id"]["snapshot"] is False
        colors = api.post("core/getkeyinfo", {"provider": "colors"}).json()["id"]
        assert colors
        assert all(color.startswith("#") for color in colors)

    @pytest.mark.parametrize(
        ("provider", "value"),
        [
            ("tracker", False),
            ("zoom", 1),
            ("webrtc.enable", False),
            ("features_permissions_executeclasses", None),
            ("nothing we know", None),
        ],
    )
    def test_other_key_infos(self, api: Api, provider, value):
        assert api.post("core/getkeyinfo", {"provider": provider}).json() == {"id": value, "callbackurl": None}

    @pytest.mark.parametrize("body", [{}, [], {"provider": 5}, "text", None])
    def test_a_key_info_without_a_name_is_an_empty_object(self, api: Api, body):
        answer = api.request("POST", "core/getkeyinfo", json=body) if body is not None else api.post("core/getkeyinfo")
        assert (answer.status_code, answer.json()) == (200, {})

    def test_no_message_is_null_as_json_and_an_empty_line_as_text(self, user: Api):
        assert user.post("core/getmessageinfo").json() == {"status": 200, "result": None, "message": None}
        text = user.post("core/getmessageinfo", headers={"Accept": "text/plain"})
        assert (text.text, text.headers["Cache-Control"]) == ("\n", "no-cache, private")

    @pytest.mark.parametrize(
        ("accept", "json_wanted"),
        [("*/*", True), ("text/html", True), ("application/json, text/plain", True), ("text/plain;q=1, */*", False)],
    )
    def test_the_first_offered_type_wins(self, user: Api, accept, json_wanted):
        answer = user.post("core/getmessageinfo", headers={"Accept": accept})
        assert answer.headers["Content-Type"].startswith("application/json") is json_wanted

    def test_messages_need_a_user(self, api: Api):
        assert api.post("core/getmessageinfo").status_code == 401


class TestUser:
    def test_whoami_tells_who_logged_in(self, user: Api):
        me = user.post("user/whoami").json()
        assert (me["sessionid"], me["userid"], me["providertype"]) == ("jwt_token", user.userid, "anonymous")
        assert me["name"]
        assert me["provider"]
        assert "status" not in me

    @pytest.mark.parametrize("token", [None, "garbage"])
    def test_whoami_without_a_valid_token_is_nulls(self, api: Api, token):
        answer = api.post("user/whoami", token=token)
        assert answer.status_code == 200
        assert {key: value for key, value in answer.json().items() if value is not None} == {"sessionid": "jwt_token"}

    def test_location_has_every_key_and_nothing_invented(self, user: Api):
        location = user.result("user/getlocation")
        assert set(location) == {"user", "server"}
        assert location["user"]["ipAddr"] == "127.0.0.1"
        assert location["user"]["country"] is None
        assert location["user"]["location"] == []
        assert len(location["server"]) == 11

    def test_getinfo_asks_nobody(self, api: Api):
        answer = api.post("user/getinfo", {"token_provider": "google", "token": "x"})
        assert answer.json() == {"userid": None, "name": None}

    def test_the_version_is_public_and_also_for_users(self, user: Api):
        public = user.post("version", token=None).json()
        assert set(public) == {"date", "commit", "version"}
        assert user.get("user/version").json() == public
        assert user.get("user/version", token=None).status_code == 401


class TestStore:
    def test_a_value_comes_back_and_a_missing_one_is_404(self, user: Api):
        missing = user.post("store/get", {"key": "dock"})
        assert (missing.status_code, missing.json()["status"]) == (404, 404)
        for value in (["frontendjs.webshell", "a"], {"a": {"b": 1}}, "text", 0, False):
            assert user.result("store/set", {"key": "dock", "value": value}) is None
            answer = user.post("store/get", {"key": "dock"})
            assert answer.json()["result"] == value
        assert answer.headers["Cache-Control"] == "no-cache, private"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    def test_a_stored_null_counts_as_absent(self, user: Api):
        user.result("store/set", {"key": "color", "value": None})
        assert user.post("store/get", {"key": "color"}).status_code == 404

    @pytest.mark.parametrize(
        "body",
        [
            {},
            [],
            {"key": "", "value": 1},
            {"key": 5, "value": 1},
            {"key": "_id", "value": 1},
            {"key": "kind", "value": 1},
            {"key": "$set", "value": 1},
            {"key": "a" * 200, "value": 1},
            {"key": "dock"},
            {"key": "dock", "value": "x" * 70_000},
        ],
    )
    def test_a_bad_key_or_value_is_400(self, user: Api, body):
        assert user.request("POST", "store/set", json=body).status_code == 400

    def test_users_do_not_see_each_other_s_values(self, user: Api, service: Service):
        user.result("store/set", {"key": "colors", "value": ["#112233"]})
        with Api(service.url) as other:
            other.login()
            assert other.post("store/get", {"key": "colors"}).status_code == 404

    def test_values_are_shared_by_replicas(self, user: Api, replica_api: Api):
        user.result("store/set", {"key": "backgroundType", "value": "img"})
        assert replica_api.result("store/get", {"key": "backgroundType"}, token=user.token) == "img"

    def test_the_login_history_is_the_caller_s_own(self, user: Api):
        history = user.result("store/getcollection", {"key": "callHistory"})
        assert history == []
        assert user.post("store/getcollection", {"key": "profiles"}).status_code == 400

    def test_the_store_needs_a_user(self, api: Api):
        for path in ("store/get", "store/set", "store/getcollection"):
            assert api.post(path, {"key": "dock", "value": 1}).status_code == 401


class TestAccounting:
    def test_metrics_in_the_text_format_show_declared_names_before_they_are_counted(self, api: Api):
        answer = api.get("accounting/metrics")
        assert answer.headers["Content-Type"] == "text/plain;charset=utf-8"
        lines = answer.text.splitlines()
        assert 'pyos_container_total{container="reused"} 0' in lines
        assert any(line.startswith('pyos_desktop_total{desktop="current"} ') for line in lines)

    def test_metrics_as_json_count_logins(self, user: Api):
        counters = user.get("accounting/metrics?format=json").json()
        assert counters["login"]["success"] >= 1
        assert counters["login"]["anonymous"] >= 1

    def test_only_get_is_offered(self, api: Api):
        answer = api.post("accounting/metrics")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


class TestManager:
    def test_a_missing_key_opens_the_console_s_dialog(self, api: Api):
        answer = api.get("manager/healtz")
        assert (answer.status_code, answer.json()["message"].split(" - ")[0]) == (403, "403.1")

    def test_health_of_the_manager(self, api: Api):
        assert api.manager("GET", "healtz").json() == {"controler": "ManagerController", "status": "ok"}
        assert api.manager("GET", "healthz").json() == {"controler": "ManagerController", "status": "ok"}

    def test_verbose_health_names_every_dependency(self, api: Api):
        report = api.manager("GET", "healthz?verbose").json()
        assert {name: state["ok"] for name, state in report["dependencies"].items()} == {
            "mongodb": True,
            "memcached": True,
            "kubernetes": True,
        }
        assert report["ready"] is True
        assert report["lanes"]["launch"]["size"] > 0

    def test_echo_shows_the_request_without_its_secrets(self, api: Api, service: Service):
        answer = api.manager("GET", "echohttp?a=1", headers={"ABCAuthorization": "Bearer secret-token", "X-A": "b"})
        assert "secret-token" not in answer.text
        assert service.api_key not in answer.text
        echo = answer.json()
        assert echo["params"] == {"a": "1"}
        assert echo["remote"]["ip"] == "127.0.0.1"
        assert {name.lower(): text for name, text in echo["headers"].items()}["x-a"] == "b"

    def test_an_image_lives_through_its_routes(self, api: Api):
        tag = f"registry.example/team/{uuid.uuid4().hex}.d:1.0"
        document = image(tag)
        body = json.dumps(document).encode()
        script = {"Content-Type": "text/javascript"}
        stored = api.manager("POST", "image", data=body, headers=script)
        assert (stored.status_code, stored.json()["id"]) == (200, tag)
        assert stored.json()["sha_id"] == document["Id"]
        assert api.manager("GET", f"image/{tag}").json()["displayname"] == "Paint"
        assert api.manager("GET", "image/" + tag.replace("/", "%2F")).json()["id"] == tag
        assert api.manager("GET", "image/" + document["Id"].removeprefix("sha256:")).json()["id"] == tag
        assert api.manager("GET", "images/").json()[tag]["launch"] == "paint.Paint"
        assert api.manager("GET", "buildapplist").json()[tag]["sha_id"].startswith("sha256:")
        put = api.manager("PUT", "image", data=json.dumps([document]).encode(), headers=script).json()
        assert [record["id"] for record in put] == [tag]
        assert api.manager("PATCH", "image").json()[tag]
        deleted = api.manager("DELETE", f"image/{tag}", headers=script)
        assert (deleted.status_code, deleted.json()) == (200, [tag])
        gone = api.manager("GET", f"image/{tag}")
        assert (gone.status_code, gone.json()["status"]) == (404, 404)

    @pytest.mark.parametrize("body", ["{}", "[{}]", '"x"', "5"])
    def test_an_unusable_image_is_400(self, api: Api, body):
        assert api.manager("POST", "image", data=body, headers={"Content-Type": "text/javascript"}).status_code == 400

    def test_an_unknown_desktop_is_404_and_its_deletion_without_name_400(self, api: Api):
        for method in ("GET", "DELETE"):
            answer = api.manager(method, "desktop/nobody-12345")
            assert (answer.status_code, answer.json()["status"]) == (404, 404)
        assert api.manager("DELETE", "desktop").status_code == 400
        assert isinstance(api.manager("GET", "desktop").json(), list)

    def test_an_operator_lists_reads_and_removes_a_desktop(self, user: Api, api: Api):
        user.result("composer/launchdesktop")
        name = user.post("user/whoami").json()["container_id"]
        listed = {entry["id"]: entry for entry in api.manager("GET", "desktop").json()}
        assert listed[name]["name"] == name
        assert listed[name]["vncPassword"] is None
        pod = api.manager("GET", f"desktop/{name}").json()
        assert (pod["kind"], pod["metadata"]["name"]) == ("Pod", name)
        assert pod["metadata"]["annotations"]["lastlogin_datetime"]
        assert api.manager("DELETE", f"desktop/{name}").json() is True
        assert api.manager("GET", f"desktop/{name}").status_code == 404
        assert user.post("user/whoami").json()["container_id"] is None

        def stops() -> list[dict[str, Any]]:
            history = api.manager("GET", "datastore/desktop/history").json()
            return [one for one in history if one["desktop_id"] == name and one["eventtype"] == "stop"]

        until(lambda: bool(stops()))
        assert stops()[0]["isgarbaged"] is False
        assert stops()[0]["provider"] == "anonymous"

    def test_a_ban_lives_through_its_routes(self, api: Api):
        address = "2001:db8::99"
        assert api.manager("GET", f"ban/ipaddr/{address}").json()["isban"] is False
        assert api.manager("POST", f"ban/ipaddr/{address}", data=b"").json()["ok"] == 1.0
        assert [entry["id"] for entry in api.manager("GET", "ban/ipaddr").json()] == [address]
        assert api.manager("GET", f"ban/ipaddr/{address}").json()["isban"] is True
        assert api.manager("DELETE", f"ban/ipaddr/{address}").json()["n"] == 1
        assert api.manager("POST", "ban/login/fry%40planet.example").json()["ok"] == 1.0
        assert api.manager("DELETE", "ban/login").json() is None
        assert api.manager("GET", "ban/login").json() == []

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "ban/nothing"),
            ("POST", "ban/ipaddr/not-an-address"),
            ("POST", "ban/ipaddr"),
            ("POST", "ban/login/a/b"),
            ("GET", "ban/login/a/b"),
        ],
    )
    def test_a_malformed_ban_is_400(self, api: Api, method, path):
        assert api.manager(method, path).status_code == 400

    def test_the_datastore_shows_and_changes_documents(self, api: Api):
        databases = api.manager("GET", "datastore").json()
        assert "profiles" in databases
        user = f"console-{uuid.uuid4().hex[:8]}"
        value = [{"tile": 1}]
        script = {"Content-Type": "text/javascript"}
        put = api.manager("PUT", f"datastore/profiles/{user}/dock", data=json.dumps(value), headers=script)
        assert (put.status_code, put.json()) == (200, True)
        found = api.manager("GET", f"datastore/profiles/{user}/dock").json()
        assert [(one["kind"], one["dock"]) for one in found] == [("dock", value)]
        assert isinstance(found[0]["_id"], str)
        assert user in api.manager("GET", "datastore/profiles").json()
        assert len(api.manager("GET", f"datastore/profiles/{user}").json()) == 1
        assert api.manager("GET", f"datastore/profiles/{user}/other").json() == []
        assert api.manager("DELETE", f"datastore/profiles/{user}/dock").json() is True
        assert api.manager("DELETE", f"datastore/profiles/{user}/dock").json() is False
        assert api.manager("DELETE", f"datastore/profiles/{user}").json() is True

    def test_dates_filter_documents(self, api: Api):
        base = "datastore/desktop/history"
        for path in ("after/2020-01-01%2000:00:00", "before/2020-01-01%2000:00:00"):
            assert isinstance(api.manager("GET", f"{base}/{path}").json(), list)
        between = f"{base}/after/2020-01-01%2000:00:00/before/2021-01-01%2000:00:00"
        assert api.manager("GET", between).json() == []
        assert api.manager("GET", f"{base}/after/yesterday").status_code == 400

    def test_an_unknown_database_is_404(self, api: Api):
        for path in ("admin", "admin/system.users", "local/oplog.rs"):
            assert api.manager("GET", f"datastore/{path}").status_code == 404

    def test_a_verb_without_meaning_is_405(self, api: Api):
        for method, path in (("POST", "desktop"), ("PATCH", "ban/ipaddr"), ("PUT", "datastore")):
            assert api.manager(method, path).status_code == 405

    def test_operators_routes_need_their_policy_not_a_user(self, user: Api):
        assert user.get("manager/desktop").status_code == 403


def test_calls_that_no_server_offers_get_the_ordinary_404(user: Api):
    for path in ("composer/launchmetappli", "composer/restart", "printer/list", "webrtc/get_stream", "user/share"):
        answer = user.post(path)
        assert (answer.status_code, answer.json()["status"]) == (404, 404)


def test_the_log_of_the_whole_run_holds_no_secret(user: Api, service: Service, api: Api):
    user.post("store/set", {"key": "x", "value": {"password": "correct-horse-battery"}})
    api.manager("GET", "healtz")
    log = Path(service.log_path).read_text()
    assert user.token is not None
    for secret in (user.token, service.api_key, "correct-horse-battery", "Bearer "):
        assert secret not in log


def test_the_api_describes_itself(api: Api):
    document = api.get("openapi").json()
    assert document["openapi"].startswith("3.1")
    assert "post" in document["paths"]["/API/composer/launchdesktop"]
    assert document["paths"]["/API/manager/desktop/{name}"]["delete"]["security"]
