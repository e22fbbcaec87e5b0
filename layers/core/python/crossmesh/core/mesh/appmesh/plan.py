"""The plan of App Mesh's resources: a value. Pure."""

from typing import Literal, get_args

import msgspec

from crossmesh.core.mesh.appmesh.diff import Change
from crossmesh.core.mesh.appmesh.state import AppMeshRequest
from crossmesh.core.mesh.backend import MeshTarget

Stage = Literal[
    "mesh",
    "virtualNode",
    "virtualGateway",
    "untie",
    "virtualRouter",
    "route",
    "settle",
    "virtualService",
    "gatewayRoute",
    "retireGatewayRoute",
    "retireVirtualService",
    "retireRoute",
    "retireVirtualRouter",
    "retireVirtualGateway",
    "retireVirtualNode",
    "retireMesh",
]
STAGES: tuple[Stage, ...] = get_args(Stage)


class MeshAction(msgspec.Struct, frozen=True, kw_only=True):
    """Create, update or delete one resource. `request` is the API's input without tags and token;
    `adopt`: put our tag on it first.
    """

    verb: Literal["create", "update", "delete"]
    target: MeshTarget
    stage: Stage
    request: AppMeshRequest | None = None
    arn: str = ""
    adopt: bool = False
    changes: tuple[Change, ...] = ()
    reason: str


class MeshWithheld(msgspec.Struct, frozen=True, kw_only=True):
    """A change that was not made, why, and what a person can do."""

    target: MeshTarget
    detail: str
    fix: str = ""  # "" in plans of earlier versions


class MeshPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Actions in apply order. `notes`: what a person should know about them."""

    actions: tuple[MeshAction, ...] = ()
    withheld: tuple[MeshWithheld, ...] = ()
    notes: tuple[str, ...] = ()
    unavailable: str = ""
    gone: float = 0.0
