"""Elastic Load Balancing as the `Balancers` port: the load balancer behind a host name, whichever
of its two APIs knows it.

A load balancer's name is the first label of its host name without `internal-` and the number at its
end, and its Region stands beside it (ELB user guides, "DNS name"). So it is asked for by name in
its own Region, and no list is read. A front of another account's cluster is that account's: its
role is asked.
"""

import re
import time
from typing import Any, NamedTuple

from crossmesh.adapters import aws
from crossmesh.adapters.eks import Eks
from crossmesh.core.diagnosis.facts import BalancerFacts, TargetFacts
from crossmesh.core.settings import ClusterSettings
from crossmesh.errors import NotFound

_HOST = re.compile(
    r"(?:dualstack\.)?(?:internal-)?(?P<name>[a-z0-9-]+)-[a-z0-9]+\.(?:elb\.(?P<network>[a-z0-9-]+)|(?P<other>[a-z0-9-]+)\.elb)\.(?P<suffix>[a-z0-9.-]+)",
    re.IGNORECASE,
)


class Named(NamedTuple):
    """What a host name says of its load balancer."""

    name: str
    region: str
    network: bool


def named(host: str) -> Named | None:
    """None where the name is no load balancer's, in no Region of a partition that the SDK knows."""
    found = _HOST.fullmatch(host.rstrip("."))
    if found is None:
        return None
    region = (found["network"] or found["other"]).lower()
    partitions = aws.session().get_component("data_loader").load_data("partitions")["partitions"]
    known = any(
        p["outputs"]["dnsSuffix"] == found["suffix"].lower() and re.fullmatch(p["regionRegex"], region)
        for p in partitions
    )
    return Named(found["name"], region, bool(found["network"])) if known else None


class ElasticLoadBalancing:
    """Implements `ports.Balancers`."""

    def __init__(self, region: str, eks: Eks | None = None) -> None:
        self._eks = eks or Eks(region)

    def find(self, host: str, cluster: ClusterSettings) -> BalancerFacts | None:
        """Asked of the newer API where the name is a network load balancer's, of both otherwise."""
        found = named(host)
        if found is None:
            return None
        keys = self._eks.keys(cluster, time.time())
        for ask, service in ((_newer, "elbv2"),) if found.network else ((_classic, "elb"), (_newer, "elbv2")):
            with aws.translated():
                try:
                    return ask(aws.client(service, found.region, credentials=keys), found.name)
                except aws.ClientError as error:
                    if error.response["Error"]["Code"] not in ("LoadBalancerNotFound", "AccessPointNotFound"):
                        raise
        raise NotFound("LoadBalancerNotFound", f"no load balancer in {found.region} has the name {host}")


def _classic(elb: Any, name: str) -> BalancerFacts:
    (about,) = elb.describe_load_balancers(LoadBalancerNames=[name])["LoadBalancerDescriptions"]
    states = elb.describe_instance_health(LoadBalancerName=name)["InstanceStates"]
    return BalancerFacts(
        name=name,
        kind="classic",
        ports=tuple(sorted(item["Listener"]["LoadBalancerPort"] for item in about["ListenerDescriptions"])),
        targets=tuple(
            TargetFacts(
                id=s["InstanceId"], healthy=s["State"] == "InService", why=f"{s['State']}: {s.get('Description', '')}"
            )
            for s in states
        ),
    )


def _newer(elb: Any, name: str) -> BalancerFacts:
    (about,) = elb.describe_load_balancers(Names=[name])["LoadBalancers"]
    arn = about["LoadBalancerArn"]
    listeners = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    groups = elb.describe_target_groups(LoadBalancerArn=arn)["TargetGroups"]
    targets = [
        TargetFacts(
            id=f"{found['Target']['Id']}:{found['Target'].get('Port', '')}",
            healthy=found["TargetHealth"]["State"] == "healthy",
            why=(
                f"{found['TargetHealth']['State']}:"
                f" {found['TargetHealth'].get('Description') or found['TargetHealth'].get('Reason', '')}"
            ),
        )
        for group in groups
        for found in elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    ]
    return BalancerFacts(
        name=name, kind=about["Type"], ports=tuple(sorted(item["Port"] for item in listeners)), targets=tuple(targets)
    )
