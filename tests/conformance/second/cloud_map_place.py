"""A namespace and a service to ask about."""

from typing import Any

from crossmesh.core.registry.plan import CreateService

from tests.conformance.second.clouds import Cloud

ADDRESS = {"AWS_INSTANCE_IPV4": "10.20.0.7"}
RECORDS = {"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "A", "TTL": 300}]}


class Place:
    """A namespace with one service, made by the adapter as a run makes it."""

    def __init__(self, cloud: Cloud, name: str, kind: str = "private_dns") -> None:
        self.cloud, self.registry = cloud, cloud.registry
        self.name = f"{name}.local"
        self.namespace = cloud.namespace(self.name, kind)
        self.dns = kind != "http"
        self.service, self.arn = self.create("colorapp")

    def create(self, service: str, creator: str = "t", **more: Any) -> tuple[str, str]:
        action = CreateService(
            namespace=self.name,
            service=service,
            namespace_id=self.namespace,
            dns=self.dns,
            tags={"crossmesh:owner": "t"},
            creator=f"{creator}/{service}",
            reason="",
            **more,
        )
        return self.registry.create_service(action)

    def raw(self, name: str, **more: Any) -> str:
        """A service that somebody else made."""
        asked = {"Name": name, "NamespaceId": self.namespace, "DnsConfig": RECORDS, **more}
        return str(self.api.create_service(**asked)["Service"]["Id"])

    @property
    def api(self) -> Any:
        return self.cloud.api("servicediscovery")

    def register(self, ident: str, service: str = "", **attributes: str) -> None:
        self.cloud.done(self.registry.register(service or self.service, ident, {**ADDRESS, **attributes}, f"token-{ident}-{len(attributes)}"))

    def listed(self) -> list[Any]:
        return [(one.id, dict(one.attributes)) for one in self.registry.list_instances(self.service)]

    def found(self, **request: Any) -> list[str]:
        answer = self.api.discover_instances(NamespaceName=self.name, ServiceName="colorapp", **request)
        return sorted(one["InstanceId"] for one in answer["Instances"])
