"""Cloud Map's namespaces, operations and tags."""

from world.aws.models.cloud_map_records import Document, Namespace, Operation
from world.aws.models.cloud_map_state import CloudMapState
from world.aws.models.errors import AwsError


def matches(value: str | float, condition: str, wanted: list[str]) -> bool:
    """One filter of a List operation."""
    if condition == "BETWEEN":
        if len(wanted) != 2:
            raise AwsError("InvalidInput", "BETWEEN takes two values.")
        return float(wanted[0]) <= float(value) <= float(wanted[1])
    if condition == "BEGINS_WITH":
        return any(str(value).startswith(prefix) for prefix in wanted)
    return str(value) in wanted


def as_tags(tags: list[dict[str, str]] | None) -> dict[str, str]:
    """Tags as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


def _place_of(kind: str, name: str, vpc: str) -> tuple[str, str]:
    """What only one namespace can be, and so only one operation at a time be about."""
    return "namespace", f"{kind} {vpc} {name}"


class Namespaces(CloudMapState):
    """Namespaces come, change and go asynchronously. A name may be used again for another VPC; HttpName tells the two apart (API model)."""

    def share(self, owner: str, name: str, kind: str = "DNS_PRIVATE") -> Namespace:
        """What AWS RAM does: a namespace of the account `owner` is seen here."""
        ident = f"ns-{self.new_id(16)}"
        zone = "" if kind == "HTTP" else f"Z{self.new_id(20).upper()}"
        arn = self.arn(f"namespace/{ident}", owner)
        made = Namespace(ident, arn, name, kind, "", self.new_id(32), self.clock(), self.place(), "", zone, 15, name, owner)
        self.namespaces[ident], self.tags[arn] = made, {}
        self.namespace_ids[f"{owner}/{name}"] = ident
        return made

    def create_http_namespace(self, request: Document) -> Document:
        """A namespace that only the API knows."""
        return self._create_namespace("HTTP", request)

    def create_private_dns_namespace(self, request: Document) -> Document:
        """A namespace with a hosted zone inside a VPC."""
        return self._create_namespace("DNS_PRIVATE", request)

    def create_public_dns_namespace(self, request: Document) -> Document:
        """A namespace with a public hosted zone."""
        return self._create_namespace("DNS_PUBLIC", request)

    def _create_namespace(self, kind: str, request: Document) -> Document:
        name, token = request["Name"], request.get("CreatorRequestId") or self.new_id(32)
        vpc = request.get("Vpc", "")
        under_way = self.in_flight.get(_place_of(kind, name, vpc))
        if under_way:
            raise AwsError("DuplicateRequest", f"{name} is being created.", DuplicateOperationId=under_way.id)
        for held in self.namespaces.values():
            if (held.name, held.kind, held.vpc, held.owner) == (name, kind, vpc, ""):
                raise AwsError("NamespaceAlreadyExists", f"{name} exists.", CreatorRequestId=held.token, NamespaceId=held.id)
        if len(self.namespaces) >= self.settings.namespaces:
            raise AwsError("ResourceLimitExceeded", f"There can be at most {self.settings.namespaces} namespaces.")
        ident = f"ns-{self.new_id(16)}"
        ttl = ((request.get("Properties") or {}).get("DnsProperties") or {}).get("SOA", {}).get("TTL", 15)
        namespace = Namespace(
            id=ident,
            arn=self.arn(f"namespace/{ident}"),
            name=name,
            kind=kind,
            description=request.get("Description", ""),
            token=token,
            created=self.now,
            place=self.place(),
            vpc=vpc,
            http_name=f"{name}-{self.new_id(8)}" if self._used(name) else name,
            zone="" if kind == "HTTP" else f"Z{self.new_id(20).upper()}",
            ttl=ttl,
        )
        return self._begin_on("CREATE_NAMESPACE", namespace, ("create", namespace, as_tags(request.get("Tags"))))

    def _used(self, name: str) -> bool:
        """Whether a namespace that is there, or is being created, has this HttpName."""
        coming = (operation.payload[1].http_name for key, operation in self.in_flight.items() if key[0] == "namespace")
        return name in self.namespace_ids or name in coming

    def _begin_on(self, kind: str, namespace: Namespace, payload: tuple[object, ...]) -> Document:
        key = _place_of(namespace.kind, namespace.name, namespace.vpc)
        if key in self.in_flight:
            raise AwsError("DuplicateRequest", "An operation on the namespace is under way.", DuplicateOperationId=self.in_flight[key].id)
        operation = self.begin(kind, {"NAMESPACE": namespace.id}, payload)
        if operation.status not in ("SUCCESS", "FAIL"):
            self.in_flight[key] = operation
        return {"OperationId": operation.id}

    def finish_namespace(self, operation: Operation) -> None:
        """The end of an operation on a namespace."""
        verb, namespace, extra = operation.payload
        self.in_flight.pop(_place_of(namespace.kind, namespace.name, namespace.vpc), None)
        if operation.status == "FAIL":
            return
        if verb == "create":
            self.namespaces[namespace.id] = namespace
            self.namespace_ids[namespace.http_name] = namespace.id
            self.tags[namespace.arn] = extra
        elif verb == "delete":
            self.namespaces.pop(namespace.id, None)
            self.namespace_ids.pop(namespace.http_name, None)
            self.tags.pop(namespace.arn, None)
        else:
            namespace.description = extra.get("Description", namespace.description)
            namespace.ttl = ((extra.get("Properties") or {}).get("DnsProperties") or {}).get("SOA", {}).get("TTL", namespace.ttl)

    def delete_namespace(self, request: Document) -> Document:
        """Only an empty one."""
        namespace = self.namespace(request["Id"])
        if namespace.services:
            raise AwsError("ResourceInUse", f"The namespace {namespace.id} has services.")
        return self._begin_on("DELETE_NAMESPACE", namespace, ("delete", namespace, None))

    def update_http_namespace(self, request: Document) -> Document:
        """Change the description."""
        return self._update_namespace("HTTP", request)

    def update_private_dns_namespace(self, request: Document) -> Document:
        """Change the description or the SOA's TTL."""
        return self._update_namespace("DNS_PRIVATE", request)

    def update_public_dns_namespace(self, request: Document) -> Document:
        """Change the description or the SOA's TTL."""
        return self._update_namespace("DNS_PUBLIC", request)

    def _update_namespace(self, kind: str, request: Document) -> Document:
        namespace = self.namespace(request["Id"])
        if namespace.kind != kind:
            raise AwsError("InvalidInput", f"{namespace.id} is a namespace of type {namespace.kind}.")
        return self._begin_on("UPDATE_NAMESPACE", namespace, ("update", namespace, request["Namespace"]))

    def get_namespace(self, request: Document) -> Document:
        """One namespace."""
        return {"Namespace": self.namespace(request["Id"]).shown(self.account)}

    def list_namespaces(self, request: Document) -> Document:
        """All that pass every filter."""

        def passes(namespace: Namespace) -> bool:
            owner = self.ownership(namespace)
            fields = {"TYPE": namespace.kind, "NAME": namespace.name, "HTTP_NAME": namespace.http_name, "RESOURCE_OWNER": owner}
            return all(matches(fields[f["Name"]], f.get("Condition", "EQ"), f["Values"]) for f in request.get("Filters", ()))

        chosen = [namespace for namespace in self.namespaces.values() if passes(namespace)]
        return self.listed(chosen, request, lambda namespace: namespace.shown(self.account, full=False), "Namespaces")

    def get_operation(self, request: Document) -> Document:
        """How far an operation has come."""
        operation = self.operations.get(request["OperationId"])
        if operation is None:
            raise AwsError("OperationNotFound", f"Operation {request['OperationId']} was not found.")
        return {"Operation": operation.shown(self.account, self.now)}

    def list_operations(self, request: Document) -> Document:
        """Operations that pass every filter."""

        def passes(operation: Operation) -> bool:
            fields = {
                "NAMESPACE_ID": operation.targets.get("NAMESPACE", ""),
                "SERVICE_ID": operation.targets.get("SERVICE", ""),
                "STATUS": operation.status_at(self.now),
                "TYPE": operation.kind,
                "UPDATE_DATE": operation.updated,
            }
            return all(matches(fields[f["Name"]], f.get("Condition", "EQ"), f["Values"]) for f in request.get("Filters", ()))

        chosen = [_Placed(place, operation) for place, operation in enumerate(self.operations.values()) if passes(operation)]
        return self.listed(
            chosen, request, lambda placed: {"Id": placed.operation.id, "Status": placed.operation.status_at(self.now)}, "Operations"
        )

    def tag_resource(self, request: Document) -> Document:
        """Add or replace tags."""
        tags = self._tags(request["ResourceARN"])
        merged = {**tags, **as_tags(request["Tags"])}
        if len(merged) > self.settings.tags_per_resource:
            raise AwsError(
                "TooManyTagsException",
                f"A resource can have at most {self.settings.tags_per_resource} tags.",
                ResourceName=request["ResourceARN"],
            )
        tags |= merged
        return {}

    def untag_resource(self, request: Document) -> Document:
        """Take tags away."""
        tags = self._tags(request["ResourceARN"])
        for key in request["TagKeys"]:
            tags.pop(key, None)
        return {}

    def list_tags_for_resource(self, request: Document) -> Document:
        """The tags."""
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._tags(request["ResourceARN"]).items()]}

    def _tags(self, arn: str) -> dict[str, str]:
        if arn not in self.tags:
            raise AwsError("ResourceNotFoundException", f"{arn} was not found.")
        return self.tags[arn]


class _Placed:
    """An operation with its place in the list."""

    __slots__ = ("operation", "place")

    def __init__(self, place: int, operation: Operation) -> None:
        self.place, self.operation = place, operation
