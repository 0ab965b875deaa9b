"""The running service is held to its own API document by schemathesis: generated requests, good and bad ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from devstack.service import Service
from oc.web.exposing import METHODS_WITH_BODY
from tests.support import Api

from .document import Operation, operations, product_document

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
EXAMPLES = 4
#: Removes the applications that other tests of this process use.
DESTRUCTIVE = ("DELETE /API/manager/images",)
OPERATIONS = [operation for operation in operations() if operation.name not in DESTRUCTIVE]
TAKING_SOMETHING = [
    operation
    for operation in OPERATIONS
    if operation.endpoint.route.query or (operation.endpoint.route.body and operation.method in METHODS_WITH_BODY)
]
SCHEMA = schemathesis.openapi.from_dict(product_document())


@pytest.fixture(scope="module")
def headers(service: Service) -> Iterator[dict[str, str]]:
    """What a user who is also an operator sends."""
    with Api(service.url, service.api_key) as api:
        api.login()
        yield {"ABCAuthorization": f"Bearer {api.token}", "X-API-Key": service.api_key}
        api.post("auth/logout")
        for collection in ("ipaddr", "login"):
            api.manager("DELETE", f"ban/{collection}")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_good_requests_are_answered_as_the_document_says(
    operation: Operation, service: Service, headers: dict[str, str]
) -> None:
    generate(operation, GenerationMode.POSITIVE, service, headers)


@pytest.mark.parametrize("operation", TAKING_SOMETHING, ids=lambda operation: operation.name)
def test_bad_requests_are_refused_as_the_document_says(
    operation: Operation, service: Service, headers: dict[str, str]
) -> None:
    try:
        generate(operation, GenerationMode.NEGATIVE, service, headers)
    except Unsatisfiable:
        assert operation.endpoint.route.body is object  # any JSON value is good


def generate(operation: Operation, mode: GenerationMode, service: Service, headers: dict[str, str]) -> None:
    described = SCHEMA[operation.path][operation.method]

    @given(case=described.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=service.url, headers=headers, checks=CHECKS, timeout=60)

    check()
