"""The services that the server offers, each with its wire, its model, and what a caller must be allowed to do."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from world.aws.config import ADMIN_USER, Document
from world.aws.models.app_mesh import AppMesh
from world.aws.models.cloud_map import CloudMap
from world.aws.models.cloud_map_records import LateFailure
from world.aws.models.eks import CLUSTER_ADMIN, Cluster, Eks
from world.aws.models.elb import Elb
from world.aws.models.xray import XRay
from world.aws.permissions import Need, app_mesh_needs, cloud_map_needs, eks_needs
from world.aws.protocols import Protocol

OPERATION_LAG_S = 0.3


@dataclass(frozen=True, slots=True)
class Service:
    """`call` runs an operation, `needs` says what it takes."""

    wire: Protocol
    call: Callable[[str, Document], Document]
    needs: Callable[[str, Document], list[Need]]


class Services:
    """All models of one world, and the knobs on them."""

    def __init__(self, world: Document, clock: Callable[[], float] = time.time) -> None:
        account, region, folder = world["account"], world["region"], Path(world["dir"])
        rng = random.Random(f"world {world['index']}")
        self.network: Document = {}
        self.cloud_map = CloudMap(clock, rng, account=account, region=region)
        self.cloud_map.settings.operation_lag_s = OPERATION_LAG_S
        self.app_mesh = AppMesh(clock, rng, account=account, region=region)
        clusters = [
            Cluster(name, f"https://127.0.0.1:{one['port']}", folder / f"{name}.ca.pem", one["security_group"])
            for name, one in world["clusters"].items()
        ]
        self.eks = Eks(clock, rng, account=account, region=region, clusters=clusters, network=self._network_of)
        self.elb = Elb(clock)
        self.xray = XRay(clock)
        self._let_admin_in(f"arn:aws:iam::{account}:user/{ADMIN_USER}")
        self.latency_s = 0.0
        self.by_scope = {
            "servicediscovery": Service(Protocol("servicediscovery"), self.cloud_map.call, self._cloud_map_needs),
            "appmesh": Service(Protocol("appmesh"), self.app_mesh.call, lambda name, request: app_mesh_needs(self.app_mesh, name, request)),
            "eks": Service(Protocol("eks"), self.eks.call, lambda name, request: eks_needs(self.eks, name, request)),
            "elasticloadbalancing": Service(Protocol("elb"), self.elb.call, lambda name, _: [Need(f"elasticloadbalancing:{name}")]),
            "xray": Service(Protocol("xray"), self.xray.call, lambda name, _: [Need(f"xray:{name}")]),
        }

    def _cloud_map_needs(self, operation: str, request: Document) -> list[Need]:
        return cloud_map_needs(self.cloud_map, operation, request)

    def _network_of(self, group: str) -> Document:
        return {"vpc_id": self.network.get("vpc_id", ""), "security_group_id": self.network.get("groups", {}).get(group, "")}

    def _let_admin_in(self, principal: str) -> None:
        """The principal that made a cluster is its administrator, as on EKS."""
        for name in self.eks.clusters:
            where = {"clusterName": name, "principalArn": principal}
            self.eks.call("CreateAccessEntry", where)
            self.eks.call("AssociateAccessPolicy", {**where, "policyArn": CLUSTER_ADMIN, "accessScope": {"type": "cluster"}})

    def settings(self) -> Document:
        """The knobs as they stand: Cloud Map's at the top, App Mesh's below, and the latency of every call."""
        cloud_map, app_mesh = self.cloud_map.settings, self.app_mesh.settings
        return {
            **{item.name: getattr(cloud_map, item.name) for item in fields(cloud_map) if item.name != "late_failures"},
            "late_failures": [{item.name: getattr(failure, item.name) for item in fields(failure)} for failure in cloud_map.late_failures],
            "app_mesh": {item.name: getattr(app_mesh, item.name) for item in fields(app_mesh)},
            "latency_s": self.latency_s,
        }

    def change_settings(self, change: Document) -> None:
        """Turn some knobs. Raises KeyError for one that is not there, TypeError or ValueError for a malformed value."""
        change = dict(change)
        mesh = change.pop("app_mesh", {})
        latency = float(change.pop("latency_s", self.latency_s))
        failures = [LateFailure(**failure) for failure in change.pop("late_failures")] if "late_failures" in change else None
        cloud_map = _checked(self.cloud_map.settings, change)
        app_mesh = _checked(self.app_mesh.settings, {name: value for name, value in mesh.items() if name != "quotas"})
        for name, value in cloud_map.items():
            setattr(self.cloud_map.settings, name, value)
        for name, value in app_mesh.items():
            setattr(self.app_mesh.settings, name, value)
        self.app_mesh.settings.quotas |= mesh.get("quotas", {})
        if failures is not None:
            self.cloud_map.settings.late_failures = failures
        self.cloud_map.throttle.rates = self.cloud_map.settings.rates
        self.app_mesh.throttle.rates = self.app_mesh.settings.rates
        self.latency_s = latency


def _checked(settings: Any, change: Document) -> Document:
    """Values in the types that the settings have."""
    known = {item.name: getattr(settings, item.name) for item in fields(settings)}
    checked = {}
    for name, value in change.items():
        if name not in known:
            raise KeyError(f"no such setting: {name}")
        checked[name] = {op: (float(r[0]), float(r[1])) for op, r in value.items()} if name == "rates" else type(known[name])(value)
    return checked
