"""Classic load balancers: what the data plane has made known is what is described."""

from collections.abc import Callable
from typing import Any

from world.aws.models.errors import AwsError

Document = dict[str, Any]
OPERATIONS = ("DescribeLoadBalancers", "DescribeInstanceHealth", "DescribeTags")


class Elb:
    """`put` is how the data plane tells; `call` the interface of AWS."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.balancers: dict[str, Document] = {}
        self._handlers = {
            "DescribeLoadBalancers": self._describe,
            "DescribeInstanceHealth": self._health,
            "DescribeTags": self._tags,
        }

    def put(self, balancer: Document) -> None:
        """Make a load balancer known, or renew it: {name, hostname, listeners: [{port, instance_port, protocol}],
        instances: [{id, state: InService|OutOfService, reason?, description?}], tags: {…}, vpc_id?, security_groups?, subnets?}.
        """
        held = self.balancers.get(balancer["name"], {})
        self.balancers[balancer["name"]] = {"created": held.get("created", self.clock()), **balancer}

    def remove(self, name: str) -> None:
        """Forget one."""
        self.balancers.pop(name, None)

    def call(self, operation: str, request: Document) -> Document:
        """Raises AwsError."""
        if operation not in self._handlers:
            raise AwsError("InvalidAction", f"This Elastic Load Balancing has no {operation}.")
        return self._handlers[operation](request)

    def _find(self, name: str) -> Document:
        if name not in self.balancers:
            raise AwsError("LoadBalancerNotFound", f"There is no ACTIVE Load Balancer named '{name}'")
        return self.balancers[name]

    def _describe(self, request: Document) -> Document:
        names = request.get("LoadBalancerNames") or sorted(self.balancers)
        return {"LoadBalancerDescriptions": [self._description(self._find(name)) for name in names]}

    def _description(self, balancer: Document) -> Document:
        listeners = [
            {
                "Listener": {
                    "Protocol": listener.get("protocol", "TCP").upper(),
                    "LoadBalancerPort": listener["port"],
                    "InstanceProtocol": listener.get("protocol", "TCP").upper(),
                    "InstancePort": listener.get("instance_port", listener["port"]),
                },
                "PolicyNames": [],
            }
            for listener in balancer.get("listeners", ())
        ]
        return {
            "LoadBalancerName": balancer["name"],
            "DNSName": balancer["hostname"],
            "CanonicalHostedZoneName": balancer["hostname"],
            "ListenerDescriptions": listeners,
            "AvailabilityZones": balancer.get("zones", []),
            "Subnets": balancer.get("subnets", []),
            "VPCId": balancer.get("vpc_id", ""),
            "Instances": [{"InstanceId": instance["id"]} for instance in balancer.get("instances", ())],
            "SecurityGroups": balancer.get("security_groups", []),
            "CreatedTime": _iso(balancer["created"]),
            "Scheme": balancer.get("scheme", "internet-facing"),
        }

    def _health(self, request: Document) -> Document:
        balancer = self._find(request["LoadBalancerName"])
        known = {instance["id"]: instance for instance in balancer.get("instances", ())}
        wanted = [instance["InstanceId"] for instance in request.get("Instances", ())] or list(known)
        missing = [name for name in wanted if name not in known]
        if missing:
            raise AwsError("InvalidInstance", f"Could not find {', '.join(missing)}.")
        return {
            "InstanceStates": [
                {
                    "InstanceId": name,
                    "State": known[name].get("state", "InService"),
                    "ReasonCode": known[name].get("reason", "N/A"),
                    "Description": known[name].get("description", "N/A"),
                }
                for name in wanted
            ]
        }

    def _tags(self, request: Document) -> Document:
        return {
            "TagDescriptions": [
                {
                    "LoadBalancerName": name,
                    "Tags": [{"Key": key, "Value": value} for key, value in self._find(name).get("tags", {}).items()],
                }
                for name in request["LoadBalancerNames"]
            ]
        }


def _iso(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
