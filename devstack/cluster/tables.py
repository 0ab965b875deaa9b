"""Server-side printing: Table answers and PartialObjectMetadata."""

from __future__ import annotations

import functools
from typing import Any

from devstack.cluster.columns import columns_of, describe
from devstack.cluster.negotiation import Answer
from devstack.cluster.objects import Object
from devstack.cluster.options import Query, first
from devstack.cluster.resources import BY_PLURAL, Resource


def partial(obj: Object, version: str = "v1") -> Object:
    """The object's metadata alone."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": obj["metadata"],
    }


@functools.cache
def _definitions(kind: str) -> tuple[Object, ...]:
    resource = BY_PLURAL[kind]
    return tuple(
        {
            "name": column.name,
            "type": column.type,
            "format": "name" if column.name == "Name" else "",
            "description": describe(column, resource),
            "priority": 1 if column.wide else 0,
        }
        for column in columns_of(kind)
    )


def of_objects(
    resource: Resource, objects: list[Object], answer: Answer, query: Query, metadata: Object | None
) -> Object:
    """A Table with one row an object; `metadata` of a list, None for a single object."""
    include = first(query, "includeObject") or "Metadata"
    columns = columns_of(resource.storage)
    rows: list[Any] = []
    for obj in objects:
        row: Object = {"cells": [column.cell(obj) for column in columns]}
        if include == "Metadata":
            row["object"] = partial(obj, answer.view_version)
        elif include == "Object":
            row["object"] = {"kind": resource.kind, "apiVersion": resource.group_version, **obj}
        rows.append(row)
    if metadata is None:
        metadata = {"resourceVersion": objects[0]["metadata"].get("resourceVersion", "")} if objects else {}
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{answer.view_version}",
        "metadata": metadata,
        "columnDefinitions": list(_definitions(resource.storage)),
        "rows": rows,
    }
