"""Server-side printing: Table answers and PartialObjectMetadata."""

from __future__ import annotations

from typing import Any

from devstack.cluster.negotiation import Answer
from devstack.cluster.objects import Object
from devstack.cluster.options import Query, first
from devstack.cluster.resources import Resource


def partial(obj: Object, version: str = "v1") -> Object:
    """The object's metadata alone."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": obj["metadata"],
    }


def of_objects(
    resource: Resource, objects: list[Object], answer: Answer, query: Query, metadata: Object | None
) -> Object:
    """A Table with one row an object."""
    include = first(query, "includeObject") or "Metadata"
    rows: list[Any] = []
    for obj in objects:
        row: Object = {"cells": [obj["metadata"]["name"]]}
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
        "columnDefinitions": [{"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0}],
        "rows": rows,
    }
