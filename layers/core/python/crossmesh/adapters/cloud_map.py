"""Cloud Map as the `Registry` port. Lists are the scarce calls (ListServices 1-2 a second), so ids are taken from memory where known."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from crossmesh.adapters import aws
from crossmesh.core.actions import CreateService
from crossmesh.core.views import Instance, ServiceView
from crossmesh.errors import NotFound
from crossmesh.ports import Operation

_AT_ONCE = 8  # reads of services side by side

DNS_TTL = 300  # seconds; AWS's controller's default (--cloudmap-dns-ttl)


class CloudMap:
    """Implements `ports.Registry`. Reads retry inside the SDK; writes don't, for whoever calls paces them."""

    def __init__(self, region: str) -> None:
        self._read = aws.client("servicediscovery", region)
        self._write = aws.client("servicediscovery", region, attempts=1)

    def find_services(self, names: tuple[tuple[str, str], ...], known: dict[str, tuple[str, str]]) -> tuple[ServiceView, ...]:
        """One ListNamespaces, one ListServices for each namespace with a service not yet known, GetService and tags for each service, side by side."""
        with aws.translated(), ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            namespaces = self._namespaces()
            bases = [_place(namespace, service, namespaces) for namespace, service in sorted(set(names))]
            views = list(pool.map(lambda base: self._described(base, known.get(base.key, ("", ""))[0]), bases))
            unknown = sorted({view.namespace_id for view in views if view.namespace_id and not view.id})
            listed = {namespace_id: self._services_of(namespace_id) for namespace_id in unknown}
            return tuple(
                pool.map(
                    lambda view: view if view.id else self._described(view, listed.get(view.namespace_id, {}).get(view.service, "")), views
                )
            )

    def _namespaces(self) -> dict[str, Any]:
        pages = self._read.get_paginator("list_namespaces").paginate()
        return {namespace["Name"]: namespace for page in pages for namespace in page["Namespaces"]}

    def _services_of(self, namespace_id: str) -> dict[str, str]:
        filters = [{"Name": "NAMESPACE_ID", "Values": [namespace_id], "Condition": "EQ"}]
        pages = self._read.get_paginator("list_services").paginate(Filters=filters)
        return {service["Name"]: service["Id"] for page in pages for service in page["Services"]}

    def _described(self, base: ServiceView, service_id: str) -> ServiceView:
        """`base` completed from GetService, or as it is where there is no such service or another one under the id."""
        if not service_id:
            return base
        try:
            with aws.translated():
                service = self._read.get_service(Id=service_id)["Service"]
        except NotFound:
            return base
        if service["Name"] != base.service or service.get("NamespaceId", base.namespace_id) != base.namespace_id:
            return base
        tags = self._read.list_tags_for_resource(ResourceARN=service["Arn"])["Tags"]
        return ServiceView(
            namespace=base.namespace,
            service=base.service,
            namespace_id=base.namespace_id,
            namespace_type=base.namespace_type,
            id=service_id,
            arn=service["Arn"],
            tags={tag["Key"]: tag["Value"] for tag in tags},
            records=tuple(sorted(record["Type"] for record in service.get("DnsConfig", {}).get("DnsRecords", ()))),
            custom_health="HealthCheckCustomConfig" in service,
        )

    def revision(self, namespace: str, service: str) -> int:
        """DiscoverInstancesRevision (3,000 a second allowed)."""
        with aws.translated():
            answer = self._read.discover_instances_revision(NamespaceName=namespace, ServiceName=service)
            return int(answer["InstancesRevision"])

    def list_instances(self, service_id: str) -> tuple[Instance, ...]:
        """Every page of ListInstances, sorted by id."""
        with aws.translated():
            pages = self._read.get_paginator("list_instances").paginate(ServiceId=service_id, PaginationConfig={"PageSize": 100})
            found = [Instance(id=i["Id"], attributes=i.get("Attributes", {})) for page in pages for i in page["Instances"]]
        return tuple(sorted(found, key=lambda instance: instance.id))

    def create_service(self, action: CreateService) -> tuple[str, str]:
        """As AWS's controller makes it: one A or AAAA record, MULTIVALUE, TTL 300; no record in an HTTP namespace."""
        request: dict[str, Any] = {
            "Name": action.service,
            "NamespaceId": action.namespace_id,
            "CreatorRequestId": hashlib.sha256(action.creator.encode()).hexdigest(),
            "Tags": [{"Key": key, "Value": value} for key, value in sorted(action.tags.items())],
        }
        if action.dns:
            record = {"Type": "AAAA" if action.ipv6 else "A", "TTL": DNS_TTL}
            request["DnsConfig"] = {"RoutingPolicy": "MULTIVALUE", "DnsRecords": [record]}
        with aws.translated():
            service = self._write.create_service(**request)["Service"]
            return service["Id"], service["Arn"]

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """TagResource."""
        with aws.translated():
            self._write.tag_resource(ResourceARN=arn, Tags=[{"Key": key, "Value": value} for key, value in sorted(tags.items())])

    def register(self, service_id: str, instance_id: str, attributes: dict[str, str], token: str) -> str:
        """RegisterInstance."""
        with aws.translated():
            answer = self._write.register_instance(ServiceId=service_id, InstanceId=instance_id, Attributes=attributes, CreatorRequestId=token)
            return str(answer["OperationId"])

    def deregister(self, service_id: str, instance_id: str) -> str:
        """DeregisterInstance."""
        with aws.translated():
            return str(self._write.deregister_instance(ServiceId=service_id, InstanceId=instance_id)["OperationId"])

    def health(self, service_id: str) -> dict[str, str]:
        """Every page of GetInstancesHealthStatus (its paginator is not among botocore's)."""
        found: dict[str, str] = {}
        more: dict[str, Any] = {}
        with aws.translated():
            while True:
                answer = self._read.get_instances_health_status(ServiceId=service_id, MaxResults=100, **more)
                found |= answer.get("Status", {})
                if not answer.get("NextToken"):
                    return found
                more = {"NextToken": answer["NextToken"]}

    def set_health(self, service_id: str, instance_id: str, status: str) -> None:
        """UpdateInstanceCustomHealthStatus."""
        with aws.translated():
            self._write.update_instance_custom_health_status(ServiceId=service_id, InstanceId=instance_id, Status=status)

    def operation(self, operation_id: str) -> Operation:
        """GetOperation."""
        with aws.translated():
            found = self._read.get_operation(OperationId=operation_id)["Operation"]
            return Operation(id=operation_id, status=found["Status"], code=found.get("ErrorCode", ""), message=found.get("ErrorMessage", ""))

    def discover(self, namespace: str, service: str) -> tuple[Instance, ...]:
        """One call sees a whole service: MaxResults 1,000 is the quota of instances per service (its default of 100 is not enough)."""
        with aws.translated():
            answer = self._read.discover_instances(NamespaceName=namespace, ServiceName=service, MaxResults=1000, HealthStatus="ALL")
            found = [Instance(id=i["InstanceId"], attributes=i.get("Attributes", {})) for i in answer["Instances"]]
        return tuple(sorted(found, key=lambda instance: instance.id))

    def delete_service(self, service_id: str) -> None:
        """DeleteService."""
        with aws.translated():
            self._write.delete_service(Id=service_id)


def _place(namespace: str, service: str, namespaces: dict[str, Any]) -> ServiceView:
    """A service by name, with what is known of its namespace (nothing where there is none)."""
    found = namespaces.get(namespace)
    if found is None:
        return ServiceView(namespace=namespace, service=service)
    return ServiceView(namespace=namespace, service=service, namespace_id=found["Id"], namespace_type=found["Type"])
