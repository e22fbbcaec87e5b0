"""Whose a change is that CloudTrail tells of: never foreign where it may be ours."""

import json
from typing import Any

import pytest
from crossmesh.core.documents import SourceLocation
from crossmesh.core.observed import RegistryView, ServiceView
from crossmesh.core.registry.drift import Concerns, concerns, whose
from crossmesh.core.topology import Resource, Topology

from world.deploy import ROOT

COLOR = ServiceView(namespace="demo.local", service="color", namespace_id="ns-1", id="srv-example0000000")
SHARED = ServiceView(
    namespace="shared",
    service="shop",
    namespace_id="arn:aws:servicediscovery:r:2:namespace/ns-2",
    id="arn:aws:servicediscovery:r:2:service/srv-2",
)
MESH = Resource(kind="Mesh", namespace="", name="global", aws_name="global", mesh="global", place=SourceLocation(file="m.yaml", line=1))
REGISTRY = RegistryView(begun=1.0, services=(COLOR, SHARED))
KNOWN = concerns(REGISTRY, Topology(meshes=(MESH,)), mesh=True)


def change(event: str, source: str = "servicediscovery", **asked: Any) -> dict[str, Any]:
    return {"eventSource": f"{source}.amazonaws.com", "eventName": event, "requestParameters": asked}


@pytest.mark.parametrize(
    "detail",
    [
        change("DeregisterInstance", serviceId="srv-example0000000", instanceId="i"),
        change("RegisterInstance", serviceId="arn:aws:servicediscovery:r:1:service/srv-example0000000"),
        change("RegisterInstance", serviceId="srv-2"),
        change("UpdateInstanceCustomHealthStatus", serviceId="srv-example0000000"),
        change("DeleteService", id="srv-example0000000"),
        change("UpdateService", id="srv-example0000000"),
        change("CreateService", name="Color", namespaceId="ns-1"),
        change("CreatePrivateDnsNamespace", name="demo.local"),
        change("DeleteNamespace", id="ns-1"),
        change("UpdateHttpNamespace", id="ns-2"),
        change("UpdateRoute", "appmesh", meshName="global"),
        change("DeleteMesh", "appmesh", meshName="global"),
        change("RegisterSomethingNew", thing="x"),
        change("RegisterInstance", serviceId=["odd"]),
        change("UpdateThing", "another", id="x"),
        {"eventSource": "servicediscovery.amazonaws.com", "eventName": "RegisterInstance", "requestParameters": None},
        {},
    ],
)
def test_what_is_ours_or_not_understood_is_never_foreign(detail: dict[str, Any]) -> None:
    assert whose(detail, KNOWN) == "ours"


@pytest.mark.parametrize(
    "detail",
    [
        change("RegisterInstance", serviceId="srv-stranger"),
        change("DeregisterInstance", serviceId="srv-example00000000"),
        change("DeleteService", id="srv-stranger"),
        change("CreateService", name="colour", namespaceId="ns-1"),
        change("CreateHttpNamespace", name="elsewhere"),
        change("DeleteNamespace", id="ns-9"),
        change("UpdateRoute", "appmesh", meshName="another"),
    ],
)
def test_what_others_do_among_themselves_is_foreign(detail: dict[str, Any]) -> None:
    assert whose(detail, KNOWN) == "foreign"


def test_an_unknown_service_may_be_the_one_of_ours_that_was_missing() -> None:
    gone = ServiceView(namespace="demo.local", service="color", namespace_id="ns-1")
    known = concerns(RegistryView(begun=1.0, services=(gone,)), Topology(), mesh=True)
    assert whose(change("RegisterInstance", serviceId="srv-new"), known) == "unknown"
    assert whose(change("CreateService", name="color"), known) == "ours"
    assert whose(change("CreateService", name="other"), known) == "foreign"


def test_without_a_mesh_backend_no_mesh_is_ours() -> None:
    known = concerns(REGISTRY, Topology(meshes=(MESH,)), mesh=False)
    assert whose(change("UpdateRoute", "appmesh", meshName="global"), known) == "foreign"


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        ("controller_deregisters", "ours"),
        ("root_deletes_service", "ours"),
        ("person_changes_route", "ours"),
        ("aws_service_deletes_node", "ours"),
        ("other_account_registers", "ours"),
        ("stranger_registers", "foreign"),
    ],
)
def test_events_as_cloudtrail_delivers_them(sample: str, says: str) -> None:
    detail = json.loads((ROOT / "events" / "cloudtrail" / f"{sample}.json").read_text())["detail"]
    assert whose(detail, KNOWN) == says
    assert whose(detail, Concerns()) == "foreign", "what is known decides"
