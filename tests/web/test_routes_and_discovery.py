"""How controllers are found, and what ``expose`` refuses."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

import controllers
from oc.od.base_controller import BaseController
from oc.web import Call, expose
from oc.web.application import mount_controllers
from oc.web.discovery import discover
from oc.web.exposing import Route, routes_of
from oc.web.routing import Endpoint, RouteTree

from .harness import make_services, serving
from .sample import SampleController


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An importable package of controllers; ``write`` adds a module."""
    name = "some_controllers"
    directory = tmp_path / name
    directory.mkdir()
    (directory / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(module: str, text: str) -> types.ModuleType:
        (directory / f"{module}.py").write_text(text)
        return __import__(name)

    yield write
    for loaded in [key for key in sys.modules if key.partition(".")[0] == name]:
        del sys.modules[loaded]


CONTROLLER = """
from oc.od.base_controller import BaseController
from oc.web import Call, expose

class WebRTCController(BaseController):
    @expose(methods=("GET",), envelope=False)
    def who(self, call: Call) -> object:
        return {"enable": self.policy.enable if self.policy else None, "logger": self.logger.name}

class Helper:
    pass
"""


def test_a_controller_is_found_and_mounted_by_its_lower_case_name(package):
    module = package("webrtc_controller", CONTROLLER)
    assert [name for name, _ in discover(module)] == ["webrtc"]
    with serving(package=module) as client:
        answer = client.get("/API/webrtc/who")
        assert answer.json == {"enable": None, "logger": "controllers.WebRTCController"}
        assert client.get("/API/WebRTC/who").status == 404
        assert client.get("/API/base/who").status == 404


def test_a_controller_gets_its_entry_of_the_configuration(package):
    module = package("webrtc_controller", CONTROLLER)
    services = make_services({"controllers": {"WebRTCController": {"permitip": ["127.0.0.0/8"]}}})
    with serving(package=module, services=services) as client:
        assert client.get("/API/webrtc/who").json["enable"] is True


def test_modules_of_another_name_are_not_imported(package):
    module = package("helpers", "raise RuntimeError('imported')")
    assert list(discover(module)) == []


def test_a_broken_controller_module_stops_the_boot(package):
    module = package("broken_controller", "import a_module_that_does_not_exist")
    with pytest.raises(ModuleNotFoundError):
        list(discover(module))


def test_a_class_that_is_no_controller_is_refused(package):
    module = package("odd_controller", "class OddController: pass")
    with pytest.raises(TypeError, match="OddController must extend BaseController"):
        list(discover(module))


def test_the_product_s_controllers_are_all_found():
    found = {name for name, _ in discover(controllers)}
    assert {"accounting", "auth", "composer", "core", "manager", "store", "user"} <= found
    assert "base" not in found


def test_the_product_s_routes_do_not_collide():
    from controllers.root import Root

    mounts = mount_controllers(make_services(), Root(), controllers)
    assert sum(1 for mount in mounts.values() for _ in mount.tree.endpoints()) > 40


def test_every_route_has_a_summary_and_a_known_lane():
    from controllers.root import Root

    mounts = mount_controllers(make_services(), Root(), controllers)
    for name, mount in mounts.items():
        for endpoint in mount.tree.endpoints():
            assert endpoint.route.summary, f"{name}/{endpoint.route.path}"


def test_every_manager_route_is_declared_so():
    from controllers.root import Root

    mounts = mount_controllers(make_services(), Root(), controllers)
    for endpoint in mounts["manager"].tree.endpoints():
        assert endpoint.route.auth in ("manager", "user"), endpoint.route.path


def test_a_manager_route_without_policy_is_refused():
    class OpenController(BaseController):
        @expose(auth="manager")
        def admin(self, call: Call) -> object:
            return None

    with pytest.raises(ValueError, match="needs a controller policy"), serving(OpenController()):
        pass


def test_the_same_path_and_method_cannot_be_exposed_twice():
    tree = RouteTree()
    route = Route("a/{x}", ("GET",))
    tree.add(Endpoint(route, print))
    with pytest.raises(ValueError, match="exposed twice"):
        tree.add(Endpoint(route, print))


def test_one_place_has_one_parameter_name():
    tree = RouteTree()
    tree.add(Endpoint(Route("a/{x}", ("GET",)), print))
    with pytest.raises(ValueError, match="is called 'x'"):
        tree.add(Endpoint(Route("a/{y}/b", ("GET",)), print))


@pytest.mark.parametrize("declaration", [{"methods": ("FETCH",)}, {"methods": ()}, {"auth": "root"}, {"lane": "fast"}])
def test_a_wrong_declaration_is_refused(declaration):
    with pytest.raises(ValueError, match="unknown"):
        expose(**declaration)


def test_an_inherited_route_is_a_route():
    class ChildController(SampleController):
        pass

    assert {route.path for route, _ in routes_of(ChildController())} >= {"echo", "thing/{name}"}


def test_one_method_may_serve_several_paths():
    class ManyController(BaseController):
        @expose(path="one", methods=("GET",), envelope=False)
        @expose(path="two", methods=("GET",), envelope=False)
        def serve(self, call: Call) -> object:
            return call.segments[-1]

    with serving(ManyController()) as client:
        assert client.get("/API/many/one").json == "one"
        assert client.get("/API/many/two").json == "two"
