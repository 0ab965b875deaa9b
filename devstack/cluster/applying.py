"""Server-side apply."""

from __future__ import annotations

from devstack.cluster.calls import Api, Call, Reply
from devstack.cluster.errors import method_not_allowed
from devstack.cluster.options import WriteOptions


def apply(api: Api, call: Call, wanted: WriteOptions) -> Reply:
    raise method_not_allowed()
