"""The data store on a real server: values, collections, limits, and a server that goes away."""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Callable

import bson
import msgspec
import pymongo
import pymongo.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.datastore import MAX_KEYS, DataStore, collection_name, render
from oc.errors import BadRequestError, ODError, ODResourceNotFoundError, UnavailableError
from oc.od.settings.stores import MongodbSettings
from tests.waiting import until

from .peers import Database, closed_port

DataStores = Callable[..., DataStore]


class TestValues:
    def test_a_value_is_read_back_by_its_key(self, datastore: DataStore) -> None:
        for value in (["Navigator.firefox", "keyboard"], "img", 3, 1.5, True, [{"a": [1, None]}]):
            assert datastore.set("profiles", "fry", "dock", value) is True
            assert datastore.get("profiles", "fry", "dock") == value

    def test_what_was_never_stored_is_none(self, datastore: DataStore) -> None:
        assert datastore.get("profiles", "nobody", "dock") is None

    def test_storing_again_replaces_the_one_document_of_the_key(self, datastore: DataStore) -> None:
        datastore.set("profiles", "fry", "dock", [1])
        datastore.set("profiles", "fry", "dock", [2])
        datastore.set("profiles", "fry", "colors", ["#ffffff"])
        assert [item["dock"] for item in datastore.get_collection("profiles", "fry", {"kind": "dock"})] == [[2]]
        assert len(datastore.get_collection("profiles", "fry")) == 2

    def test_a_document_of_an_older_release_is_replaced_and_keeps_its_id(self, datastore: DataStore) -> None:
        identifier = bson.ObjectId()
        datastore.add_all("profiles", {"fry": [{"_id": identifier, "kind": "dock", "dock": ["old"]}]})
        datastore.set("profiles", "fry", "dock", ["new"])
        assert datastore.get_collection("profiles", "fry") == [
            {"_id": str(identifier), "kind": "dock", "dock": ["new"]}
        ]

    def test_a_dict_is_wrapped_unless_it_holds_the_key_itself(self, datastore: DataStore) -> None:
        datastore.set("profiles", "fry", "dock", {"left": 1})
        assert datastore.get("profiles", "fry", "dock") == {"left": 1}
        datastore.set("profiles", "fry", "dock", {"_id": "x", "dock": ["a"], "kind": "other", "note": "n"})
        assert datastore.get("profiles", "fry", "dock") == ["a"]
        stored = datastore.get_collection("profiles", "fry")[0]
        assert (stored["kind"], stored["note"]) == ("dock", "n")
        assert stored["_id"] != "x"

    def test_first_writes_at_the_same_time_leave_one_document(self, database: Database, datastores: DataStores) -> None:
        replicas = [datastores(database) for _ in range(4)]
        start = threading.Barrier(4)
        failures: list[Exception] = []

        def write(replica: DataStore, value: int) -> None:
            start.wait()
            try:
                replica.set("profiles", "fry", "dock", [value])
            except ODError as error:
                failures.append(error)

        writers = [threading.Thread(target=write, args=(replica, n)) for n, replica in enumerate(replicas)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert not failures
        assert len(replicas[0].get_collection("profiles", "fry")) == 1

    def test_delete_says_whether_there_was_something(self, datastore: DataStore) -> None:
        datastore.set("profiles", "fry", "dock", [1])
        assert datastore.delete_one("profiles", "fry", "dock") is True
        assert datastore.delete_one("profiles", "fry", "dock") is False

    @pytest.mark.parametrize("key", ["", "_id", "kind", "$set", "a\0", "a b", "é", "x" * 129, None, 3, ["dock"]])
    def test_a_key_outside_of_the_limits_is_refused(self, datastore: DataStore, key: object) -> None:
        with pytest.raises(BadRequestError):
            datastore.set("profiles", "fry", key, [1])  # type: ignore[arg-type]
        with pytest.raises(BadRequestError):
            datastore.get("profiles", "fry", key)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "value", ["x" * 65537, {"dock": 1, "$where": "1"}, {"dock": 1, "": 2}, 2**70, 2**63, "\ud800"]
    )
    def test_a_value_outside_of_the_limits_is_refused(self, datastore: DataStore, value: object) -> None:
        with pytest.raises(BadRequestError):
            datastore.set("profiles", "fry", "dock", value)
        assert datastore.get("profiles", "fry", "dock") is None

    def test_a_user_has_a_bounded_number_of_keys_and_may_still_change_them(self, datastore: DataStore) -> None:
        for number in range(MAX_KEYS):
            datastore.set("profiles", "fry", f"key{number}", number)
        with pytest.raises(BadRequestError, match="too many keys"):
            datastore.set("profiles", "fry", "onemore", 1)
        assert datastore.set("profiles", "fry", "key3", "changed")


class TestCollections:
    def test_collections_are_listed_and_dropped(self, datastore: DataStore) -> None:
        for user in ("leela", "fry"):
            datastore.set("profiles", user, "dock", [])
        assert datastore.list_collections("profiles") == ["fry", "leela"]
        assert datastore.drop_collection("profiles", "fry") is True
        assert datastore.drop_collection("profiles", "fry") is True
        assert datastore.list_collections("profiles") == ["leela"]
        assert datastore.drop_database("profiles") is False
        assert datastore.list_collections("profiles") == ["leela"]

    def test_a_collection_that_does_not_exist_is_empty(self, datastore: DataStore) -> None:
        assert datastore.get_collection("loginHistory", "fry") == []

    def test_the_call_history_that_no_deployment_has_is_empty_without_asking_the_server(self) -> None:
        away = DataStore(MongodbSettings(url=f"mongodb://127.0.0.1:{closed_port()}", param=""))
        assert away.get_collection("callHistory", "fry") == []

    def test_documents_are_filtered_by_date_newest_first_and_bounded(self, datastore: DataStore) -> None:
        dates = [datetime.datetime(2026, 5, day, 12) for day in (1, 3, 2, 4)]
        datastore.add_all("desktop", {"history": [{"date": date} for date in dates]})
        bounds = {"date": {"$gte": datetime.datetime(2026, 5, 2), "$lt": datetime.datetime(2026, 5, 4, 12)}}
        found = datastore.get_collection("desktop", "history", bounds, newest_first=True)
        assert [item["date"] for item in found] == ["2026-05-03 12:00:00", "2026-05-02 12:00:00"]
        newest = datastore.get_collection("desktop", "history", limit=1, newest_first=True)
        assert [item["date"] for item in newest] == ["2026-05-04 12:00:00"]

    def test_an_operator_sees_only_the_configured_databases(self, datastore: DataStore) -> None:
        assert datastore.require_known("profiles") == "profiles"
        with pytest.raises(ODResourceNotFoundError):
            datastore.require_known("admin")

    @pytest.mark.parametrize("userid", ["fry", "Philip J. Fry", "fry@planet.express", "système", "a/b", "x" * 200])
    def test_a_user_id_that_is_a_legal_collection_name_is_used_as_it_is(
        self, datastore: DataStore, userid: str
    ) -> None:
        assert datastore.set("profiles", userid, "dock", [1])
        assert datastore.list_collections("profiles") == [userid]

    @pytest.mark.parametrize(
        "userid", ["system.users", "a$b", "nul\0", "x" * 201, "é" * 101, ".a", "a.", "a..b", "\ud800"]
    )
    def test_another_user_id_is_encoded_and_found_again(self, datastore: DataStore, userid: str) -> None:
        assert datastore.set("profiles", userid, "dock", [userid.encode("utf-8", "replace").decode()])
        (name,) = datastore.list_collections("profiles")
        assert name.startswith("encoded.")
        assert datastore.get("profiles", userid, "dock") is not None
        assert datastore.get("profiles", name, "dock", exact=True) is not None

    def test_nobody_reads_an_encoded_collection_by_calling_himself_like_it(self, datastore: DataStore) -> None:
        datastore.set("profiles", "a$b", "dock", ["private"])
        with pytest.raises(BadRequestError):
            datastore.get("profiles", collection_name("a$b"), "dock")

    def test_an_empty_user_id_is_refused(self, datastore: DataStore) -> None:
        with pytest.raises(BadRequestError):
            datastore.set("profiles", "", "dock", [1])

    @given(st.text(min_size=1), st.text(min_size=1))
    def test_distinct_user_ids_have_distinct_legal_collections(self, one: str, two: str) -> None:
        name = collection_name(one)
        assert len(name.encode()) <= 200
        assert "$" not in name
        assert "\0" not in name
        assert not name.startswith("system.")
        assert (collection_name(two) == name) == (one == two)


class TestRendering:
    def test_ids_dates_and_other_types_become_json(self) -> None:
        identifier = bson.ObjectId()
        paris = datetime.timezone(datetime.timedelta(hours=2))
        document = {
            "_id": identifier,
            "date": datetime.datetime(2026, 5, 5, 13, 41, 9, 250000),
            "nested": [{"when": datetime.datetime(2026, 5, 5, 14, 0, tzinfo=paris), "id": identifier}],
            "long": bson.Int64(2**40),
            "bytes": b"\x00\xff",
            "nan": float("nan"),
            "decimal": bson.Decimal128("1.5"),
            "stamp": bson.Timestamp(1, 2),
            3: "three",
        }
        rendered = render(document)
        assert rendered["_id"] == str(identifier)
        assert rendered["date"] == "2026-05-05 13:41:09.250000"
        assert rendered["nested"] == [{"when": "2026-05-05 12:00:00", "id": str(identifier)}]
        assert (rendered["long"], rendered["nan"], rendered["3"]) == (2**40, None, "three")
        assert type(rendered["long"]) is int
        assert msgspec.json.decode(msgspec.json.encode(rendered)) == rendered
        assert render(rendered) == rendered


class TestAServerThatIsAway:
    def test_every_operation_says_unavailable_in_bounded_time(self) -> None:
        url = f"mongodb://pyos:s3cret@127.0.0.1:{closed_port()}"
        datastore = DataStore(MongodbSettings(url=url, param="serverSelectionTimeoutMS=200"))
        calls: list[Callable[[], object]] = [
            lambda: datastore.get("profiles", "fry", "dock"),
            lambda: datastore.set("profiles", "fry", "dock", [1]),
            lambda: datastore.get_collection("loginHistory", "fry"),
            lambda: datastore.add_all("desktop", {"history": [{}]}),
            lambda: datastore.delete_one("profiles", "fry", "dock"),
            lambda: datastore.drop_collection("profiles", "fry"),
            lambda: datastore.list_collections("profiles"),
        ]
        for call in calls:
            with pytest.raises(UnavailableError) as refusal:
                call()
            assert refusal.value.status == 503
            assert "s3cret" not in str(refusal.value)
        assert datastore.ping("profiles") is False
        datastore.close()

    def test_the_driver_gets_short_timeouts_unless_the_url_sets_its_own(self) -> None:
        address = f"mongodb://127.0.0.1:{closed_port()}"
        default = DataStore(MongodbSettings(url=address, param=""))
        assert default.client("profiles").options.server_selection_timeout == 3
        assert default.client("profiles").options.pool_options.connect_timeout == 3
        assert default.client("profiles").options.pool_options.socket_timeout == 20
        assert default.client("profiles") is default.client("profiles")
        own = DataStore(MongodbSettings(url=address + "/?connecttimeoutms=1000", param="socketTimeoutMS=9000"))
        assert own.client("profiles").options.pool_options.connect_timeout == 1
        assert own.client("profiles").options.pool_options.socket_timeout == 9
        default.close()
        own.close()

    def test_the_log_names_the_parameter_when_a_replica_set_is_not_found(
        self, caplog: pytest.LogCaptureFixture, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        standalone = Database(tmp_path_factory.mktemp("standalone"), replica_set="").start()
        settings = MongodbSettings(url=standalone.url, param="replicaSet=rs0&serverSelectionTimeoutMS=300")
        datastore = DataStore(settings)
        with caplog.at_level(logging.WARNING), pytest.raises(UnavailableError):
            datastore.get("profiles", "fry", "dock")
        assert "MONGODB_PARAM" in caplog.text
        datastore.close()
        without = DataStore(MongodbSettings(url=standalone.url, param=""))
        assert without.set("profiles", "fry", "dock", [1])
        assert without.get("profiles", "fry", "dock") == [1]
        without.close()
        standalone.stop()

    def test_while_it_is_away_calls_fail_at_once_and_one_in_five_seconds_tries(self) -> None:
        now = [100.0]
        settings = MongodbSettings(url=f"mongodb://127.0.0.1:{closed_port()}", param="serverSelectionTimeoutMS=50")
        datastore = DataStore(settings, clock=lambda: now[0])
        tried: list[int] = []
        original = datastore.collection
        datastore.collection = lambda *names: tried.append(1) or original(*names)  # type: ignore[method-assign, func-returns-value]
        for _ in range(5):
            with pytest.raises(UnavailableError):
                datastore.get("profiles", "fry", "dock")
        assert len(tried) == 1
        now[0] += 5.1
        for _ in range(5):
            with pytest.raises(UnavailableError):
                datastore.get("profiles", "fry", "dock")
        assert len(tried) == 2
        datastore.close()

    def test_a_server_that_comes_late_or_comes_back_is_used_again(
        self, own_database: Database, datastores: DataStores
    ) -> None:
        own_database.options = "&serverSelectionTimeoutMS=500&heartbeatFrequencyMS=500"
        datastore = datastores(own_database)
        with pytest.raises(UnavailableError):
            datastore.set("profiles", "fry", "dock", [1])
        own_database.start()
        until(lambda: datastore.ping("profiles"))
        assert datastore.set("profiles", "fry", "dock", [1])
        own_database.stop()
        with pytest.raises(UnavailableError):
            datastore.get("profiles", "fry", "dock")
        own_database.start()
        until(lambda: datastore.ping("profiles"))
        assert datastore.get("profiles", "fry", "dock") == [1]

    @pytest.mark.parametrize(
        "url",
        [
            "mongodb://u:s3cret@h:port",
            "mongodb://u:s3cret%@h",
            "nonsense s3cret",
            "mongodb+srv://u:s3cret@no-such.invalid",
        ],
    )
    def test_an_unusable_url_is_unavailable_and_never_logged(self, url: str, caplog: pytest.LogCaptureFixture) -> None:
        datastore = DataStore(MongodbSettings(url=url, param=""))
        with caplog.at_level(logging.DEBUG), pytest.raises(UnavailableError) as refusal:
            datastore.get("profiles", "fry", "dock")
        assert "s3cret" not in caplog.text + str(refusal.value)
        assert refusal.value.__cause__ is None


class TestErrorsOfTheServer:
    """A failure armed in the server, as MongoDB's configureFailPoint does."""

    def fail(self, server: Database, code: int, times: int = 1) -> None:
        with pymongo.MongoClient(server.url, replicaSet="rs0") as client:
            client.admin.command(
                "configureFailPoint",
                "failCommand",
                mode={"times": times},
                data={"failCommands": ["find"], "errorCode": code},
            )

    @pytest.mark.parametrize("code", [13, 18])
    def test_an_account_that_is_refused_is_unavailable(
        self, code: int, database: Database, datastore: DataStore
    ) -> None:
        datastore.set("profiles", "fry", "dock", [1])
        self.fail(database, code)
        with pytest.raises(UnavailableError):
            datastore.get("profiles", "fry", "dock")
        assert datastore.get("profiles", "fry", "dock") == [1]

    def test_another_error_is_a_500_without_the_servers_text(self, database: Database, datastore: DataStore) -> None:
        datastore.ping("profiles")
        self.fail(database, 2)
        with pytest.raises(ODError) as failure:
            datastore.get("profiles", "fry", "dock")
        assert (failure.value.status, failure.value.message) == (500, "database error")
