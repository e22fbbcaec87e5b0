"""Cloud Map as the `Registry` port. Lists are the scarce calls (ListServices 1-2 a second), so ids
are taken from memory where known.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from crossmesh.adapters import aws
from crossmesh.core.keys import service_key
from crossmesh.core.observed import Instance, Problem, ServiceView, unreadable
from crossmesh.core.registry.namespaces import Namespace, chosen
from crossmesh.core.registry.plan import CreateService
from crossmesh.errors import NotFound, RefusedError, ServiceGone
from crossmesh.ports import Operation

_AT_ONCE = 8  # reads of services side by side

DNS_TTL = 300  # seconds; AWS's controller's default (--cloudmap-dns-ttl)


class CloudMap:
    """Implements `ports.Registry`. Reads retry inside the SDK; writes don't, for whoever calls
    paces them.
    """

    def __init__(self, region: str) -> None:
        self._read = aws.client("servicediscovery", region)
        self._write = aws.client("servicediscovery", region, attempts=1)

    def find_services(
        self, names: tuple[tuple[str, str], ...], known: dict[str, tuple[str, str]], pins: dict[str, str] | None = None
    ) -> tuple[ServiceView, ...]:
        """ListNamespaces, one ListServices for each namespace with a service not yet known,
        GetService and tags for each service, side by side.
        """
        with aws.translated(), ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            spaces = Namespaces(self._read, pins or {})
            wanted = {service_key(*name): spaces.view(*name) for name in sorted(set(names))}
            ids = {key: known[key][0] for key in wanted if key in known}
            views = list(pool.map(lambda key: self._known(wanted[key], ids.get(key, ""), spaces), wanted))
            found = {view.key for view in views if view.id}
            strays = [service_id for key, (service_id, _) in sorted(known.items()) if key not in wanted]
            views += [
                view
                for view in pool.map(lambda stray: self._stray(stray, spaces), strays)
                if view is not None and view.key not in wanted
            ]
            unknown = sorted(
                {v.namespace_id for v in views if v.namespace_id and v.problem is None and v.key not in found}
            )
            listed = dict(zip(unknown, pool.map(self._services_of, unknown), strict=True))
            done = pool.map(
                lambda v: v if v.id or v.problem else self._by_name(v, listed.get(v.namespace_id, {})), views
            )
            told = tuple(sorted(done, key=lambda view: (view.namespace, view.service)))
        if told and all(view.problem is not None and view.problem.why == "unreadable" for view in told):
            raise RefusedError("Unreadable", "; ".join(sorted({view.problem.detail for view in told if view.problem})))
        return told

    def _services_of(self, namespace_id: str) -> dict[str, str]:
        """Name -> what calls name the service by: its id, or its ARN in a shared namespace."""
        filters = [{"Name": "NAMESPACE_ID", "Values": [namespace_id], "Condition": "EQ"}]
        pages = self._read.get_paginator("list_services").paginate(Filters=filters)
        reference = "Arn" if namespace_id.startswith("arn:") else "Id"
        return {service["Name"]: service[reference] for page in pages for service in page["Services"]}

    def _known(self, base: ServiceView, service_id: str, spaces: "Namespaces") -> ServiceView:
        """`base` completed from the service that we wrote into before, if it is still that one. Its
        id also tells which of several namespaces is meant.
        """
        several = base.problem is not None and base.problem.why == "namespace-ambiguous"
        if not service_id or (base.problem is not None and not several):
            return base
        if several:
            stray = self._stray(service_id, spaces)
            return stray if stray is not None and stray.key == base.key else base
        return self._described(base, service_id)

    def _stray(self, service_id: str, spaces: "Namespaces") -> ServiceView | None:
        """A service by its id alone; None where it, or its namespace, is no more."""
        try:
            with aws.translated():
                service = self._read.get_service(Id=service_id)["Service"]
        except NotFound:
            return None
        space = spaces.by_id(service["NamespaceId"])
        return self._told(space.view(service["Name"]), service) if space is not None else None

    def _by_name(self, base: ServiceView, services: dict[str, str]) -> ServiceView:
        """`base` completed from the service of its name, if there is one."""
        service_id = services.get(base.service, "")
        if service_id or base.namespace_type == "HTTP":
            return self._described(base, service_id)
        alike = sorted(name for name in services if name.lower() == base.service.lower())
        if not alike:
            return base
        told = f"Cloud Map has the service {alike[0]}, and names in a DNS namespace may not differ in case only"
        fix = f"write {alike[0]} in the virtual node, or delete that service"
        return msgspec.structs.replace(base, problem=Problem(why="name-case", detail=told, fix=fix))

    def _described(self, base: ServiceView, service_id: str) -> ServiceView:
        """`base` completed from GetService, or as it is where there is no such service or another
        one under the id.
        """
        if not service_id:
            return base
        try:
            with aws.translated():
                service = self._read.get_service(Id=service_id)["Service"]
        except NotFound:
            return base
        except RefusedError as error:
            return _refused(base, service_id, error)
        space = base.namespace_id.rpartition("/")[2]
        if service["Name"] != base.service or service.get("NamespaceId", space) != space:
            return base
        return self._told(base, service)

    def _told(self, base: ServiceView, service: dict[str, Any]) -> ServiceView:
        """`base` as GetService's answer tells, with its tags."""
        reference = service["Arn"] if base.account else service["Id"]
        try:
            with aws.translated():
                tags = self._read.list_tags_for_resource(ResourceARN=service["Arn"])["Tags"]
        except NotFound:
            return base
        except RefusedError as error:
            return _refused(base, reference, error)
        return msgspec.structs.replace(
            base,
            id=reference,
            arn=service["Arn"],
            tags={tag["Key"]: tag["Value"] for tag in tags},
            records=tuple(sorted(record["Type"] for record in service.get("DnsConfig", {}).get("DnsRecords", ()))),
            health_check="HealthCheckConfig" in service,
            custom_health="HealthCheckCustomConfig" in service,
        )

    def revision(self, namespace: str, service: str, account: str = "") -> int:
        """DiscoverInstancesRevision (3,000 a second allowed)."""
        with aws.translated():
            answer = self._read.discover_instances_revision(
                NamespaceName=namespace, ServiceName=service, **_owned(account)
            )
            return int(answer["InstancesRevision"])

    def list_instances(self, service_id: str) -> tuple[Instance, ...]:
        """Every page of ListInstances, sorted by id."""
        with aws.translated():
            pages = self._read.get_paginator("list_instances").paginate(
                ServiceId=service_id, PaginationConfig={"PageSize": 100}
            )
            found = [
                Instance(id=i["Id"], attributes=i.get("Attributes", {})) for page in pages for i in page["Instances"]
            ]
        return tuple(sorted(found, key=lambda instance: instance.id))

    def create_service(self, action: CreateService) -> tuple[str, str]:
        """As AWS's controller makes it: one A or AAAA record, MULTIVALUE, TTL 300; no record in an
        HTTP or a public DNS namespace.
        """
        request: dict[str, Any] = {
            "Name": action.service,
            "NamespaceId": action.namespace_id,
            "CreatorRequestId": hashlib.sha256(action.creator.encode()).hexdigest(),
            "Tags": [{"Key": key, "Value": value} for key, value in sorted(action.tags.items())],
        }
        if action.dns:
            record = {"Type": "AAAA" if action.ipv6 else "A", "TTL": DNS_TTL}
            request["DnsConfig"] = {"RoutingPolicy": "MULTIVALUE", "DnsRecords": [record]}
        if action.api_only:
            request["Type"] = "HTTP"
        with aws.translated():
            service = self._write.create_service(**request)["Service"]
            return service["Arn" if action.namespace_id.startswith("arn:") else "Id"], service["Arn"]

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """TagResource."""
        with aws.translated():
            self._write.tag_resource(
                ResourceARN=arn, Tags=[{"Key": key, "Value": value} for key, value in sorted(tags.items())]
            )

    def register(self, service_id: str, instance_id: str, attributes: dict[str, str], token: str) -> str:
        """RegisterInstance."""
        with aws.translated():
            answer = self._write.register_instance(
                ServiceId=service_id, InstanceId=instance_id, Attributes=attributes, CreatorRequestId=token
            )
            return str(answer["OperationId"])

    def deregister(self, service_id: str, instance_id: str) -> str:
        """DeregisterInstance."""
        with aws.translated():
            return str(self._write.deregister_instance(ServiceId=service_id, InstanceId=instance_id)["OperationId"])

    def health(self, service_id: str) -> dict[str, str]:
        """Every page of GetInstancesHealthStatus (its paginator is not among botocore's).

        InstanceNotFound says that an instance is too young to have a status (API model): what was
        read until then counts, the rest is UNKNOWN.
        """
        found: dict[str, str] = {}
        more: dict[str, Any] = {}
        while True:
            try:
                with aws.translated():
                    answer = self._read.get_instances_health_status(ServiceId=service_id, MaxResults=100, **more)
            except NotFound as error:
                if error.code != "InstanceNotFound":
                    raise
                return found
            found |= answer.get("Status", {})
            if not answer.get("NextToken"):
                return found
            more = {"NextToken": answer["NextToken"]}

    def set_health(self, service_id: str, instance_id: str, status: str) -> None:
        """UpdateInstanceCustomHealthStatus."""
        with aws.translated():
            self._write.update_instance_custom_health_status(
                ServiceId=service_id, InstanceId=instance_id, Status=status
            )

    def operation(self, operation_id: str) -> Operation:
        """GetOperation."""
        with aws.translated():
            found = self._read.get_operation(OperationId=operation_id)["Operation"]
            return Operation(
                id=operation_id,
                status=found["Status"],
                code=found.get("ErrorCode", ""),
                message=found.get("ErrorMessage", ""),
            )

    def discover(self, namespace: str, service: str, account: str = "") -> tuple[Instance, ...]:
        """One call sees a whole service: MaxResults 1,000 is the quota of instances per service
        (its default of 100 is not enough).
        """
        with aws.translated():
            answer = self._read.discover_instances(
                NamespaceName=namespace, ServiceName=service, MaxResults=1000, HealthStatus="ALL", **_owned(account)
            )
            found = [Instance(id=i["InstanceId"], attributes=i.get("Attributes", {})) for i in answer["Instances"]]
        return tuple(sorted(found, key=lambda instance: instance.id))

    def delete_service(self, service_id: str) -> None:
        """DeleteService."""
        with aws.translated():
            self._write.delete_service(Id=service_id)


class Namespaces:
    """The namespaces that this account sees, own ones first; those of other accounts are listed
    only where a name needs them.
    """

    def __init__(self, read: Any, pins: dict[str, str]) -> None:
        self._read, self._pins = read, pins
        self._own = self._listed("SELF")
        self._others: list[Namespace] | None = None

    def _listed(self, owner: str) -> list[Namespace]:
        filters = [{"Name": "RESOURCE_OWNER", "Values": [owner], "Condition": "EQ"}]
        pages = self._read.get_paginator("list_namespaces").paginate(Filters=filters)
        return [_namespace(one, shared=owner != "SELF") for page in pages for one in page["Namespaces"]]

    def _shared(self) -> list[Namespace]:
        if self._others is None:
            self._others = self._listed("OTHER_ACCOUNTS")
        return self._others

    def named(self, name: str) -> Namespace | Problem:
        """The namespace that a manifest means by `name`."""
        found = chosen(name, self._pins, self._own, ())
        if isinstance(found, Problem) and found.why == "namespace-missing":
            found = chosen(name, self._pins, self._own, self._shared())
        return found

    def view(self, namespace: str, service: str) -> ServiceView:
        """A service by name, with what is known of its namespace, or its problem."""
        found = self.named(namespace)
        if isinstance(found, Problem):
            return ServiceView(namespace=namespace, service=service, problem=found)
        return found.view(service)

    def by_id(self, namespace_id: str) -> Namespace | None:
        """The namespace of an id."""
        own = next((one for one in self._own if one.id == namespace_id), None)
        return own or next((one for one in self._shared() if one.id == namespace_id), None)


def _namespace(one: dict[str, Any], *, shared: bool) -> Namespace:
    properties = one.get("Properties", {})
    return Namespace(
        name=one["Name"],
        id=one["Id"],
        arn=one["Arn"],
        kind=one["Type"],
        http_name=properties.get("HttpProperties", {}).get("HttpName", "") or one["Name"],
        account=one.get("ResourceOwner", "") if shared else "",
        zone=properties.get("DnsProperties", {}).get("HostedZoneId", ""),
    )


def _owned(account: str) -> dict[str, str]:
    return {"OwnerAccount": account} if account else {}


def _refused(base: ServiceView, service_id: str, error: RefusedError) -> ServiceView:
    """A service that is there and may not be read. Raises what is everybody's."""
    if isinstance(error, ServiceGone):
        raise error
    return unreadable(base, str(error), service_id)
