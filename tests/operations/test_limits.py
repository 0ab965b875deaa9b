"""The limit of running applications holds, also for many clicks at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from devstack.service import Service
from tests.support import Api

from .test_manager_desktops import image


@pytest.mark.parametrize("engine", ["ephemeral_container", "pod_application"])
def test_clicks_at_once_start_no_more_than_the_limit(own_service: Callable[..., Service], engine: str) -> None:
    service = own_service({"desktop.policies": {"max_app_counter": 3}})
    with Api(service.url, service.api_key) as api:
        api.manager("POST", "image", json=image(engine, "limited")).raise_for_status()
        api.login()
        api.result("composer/launchdesktop")

        def click(_: int) -> int:
            with Api(service.url, service.api_key, api.token) as one:
                return one.post("composer/ocrun", {"image": "limited"}).status_code

        with ThreadPoolExecutor(8) as pool:
            codes = sorted(pool.map(click, range(8)))
        assert codes == [200] * 3 + [400] * 5
        refused = api.post("composer/ocrun", {"image": "limited"}).json()
        assert "limit of 3" in refused["message"]
        first = api.result("composer/listcontainer")[0]
        if engine == "pod_application":
            api.result("composer/stopcontainer", {"podname": first["podname"], "containerid": first["id"]})
            assert api.post("composer/ocrun", {"image": "limited"}).status_code == 200
        api.post("auth/logout")
