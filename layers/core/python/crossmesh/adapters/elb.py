"""Elastic Load Balancing as the `Balancers` port: the load balancer behind a host name, whichever of its two APIs knows it.

A load balancer's name is the first label of its host name without `internal-` and the number at its end (ELB user guides, "DNS name"), so that it is asked
for by name and no list is read.
"""

import re
from typing import Any

from crossmesh.adapters import aws
from crossmesh.core.facts import BalancerFacts, TargetFacts
from crossmesh.errors import NotFound

_HOST = re.compile(
    r"(?:dualstack\.)?(?:internal-)?(?P<name>[a-z0-9-]+)-[a-z0-9]+\.(?P<network>elb\.)?[a-z0-9-]+\.(?:elb\.)?amazonaws\.com(?:\.cn)?",
    re.IGNORECASE,
)


class ElasticLoadBalancing:
    """Implements `ports.Balancers`."""

    def __init__(self, region: str) -> None:
        self._region = region

    def find(self, host: str) -> BalancerFacts | None:
        """Asked of the newer API where the name is a network load balancer's, of both otherwise."""
        found = _HOST.fullmatch(host.rstrip("."))
        if found is None:
            return None
        tries = (self._newer,) if found["network"] else (self._classic, self._newer)
        for ask in tries:
            with aws.translated():
                try:
                    return ask(found["name"])
                except aws.ClientError as error:
                    if error.response["Error"]["Code"] not in ("LoadBalancerNotFound", "AccessPointNotFound"):
                        raise
        raise NotFound("LoadBalancerNotFound", f"no load balancer has the name {host}")

    def _classic(self, name: str) -> BalancerFacts:
        elb = aws.client("elb", self._region)
        (about,) = elb.describe_load_balancers(LoadBalancerNames=[name])["LoadBalancerDescriptions"]
        states = elb.describe_instance_health(LoadBalancerName=name)["InstanceStates"]
        return BalancerFacts(
            name=name,
            kind="classic",
            ports=tuple(sorted(item["Listener"]["LoadBalancerPort"] for item in about["ListenerDescriptions"])),
            targets=tuple(
                TargetFacts(id=s["InstanceId"], healthy=s["State"] == "InService", why=f"{s['State']}: {s.get('Description', '')}")
                for s in states
            ),
        )

    def _newer(self, name: str) -> BalancerFacts:
        elb: Any = aws.client("elbv2", self._region)
        (about,) = elb.describe_load_balancers(Names=[name])["LoadBalancers"]
        arn = about["LoadBalancerArn"]
        listeners = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
        groups = elb.describe_target_groups(LoadBalancerArn=arn)["TargetGroups"]
        targets = [
            TargetFacts(
                id=f"{found['Target']['Id']}:{found['Target'].get('Port', '')}",
                healthy=found["TargetHealth"]["State"] == "healthy",
                why=f"{found['TargetHealth']['State']}: {found['TargetHealth'].get('Description') or found['TargetHealth'].get('Reason', '')}",
            )
            for group in groups
            for found in elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
        ]
        return BalancerFacts(name=name, kind=about["Type"], ports=tuple(sorted(item["Port"] for item in listeners)), targets=tuple(targets))
