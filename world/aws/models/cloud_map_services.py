"""Cloud Map's services and their attributes."""

from world.aws.models.cloud_map_namespaces import Namespaces, as_tags, matches
from world.aws.models.cloud_map_records import Document, Namespace, Operation, Service
from world.aws.models.errors import AwsError

SERVICE_ATTRIBUTES_MOST = 30
RECORD_SETS = ({"A"}, {"AAAA"}, {"A", "AAAA"}, {"SRV"}, {"CNAME"})


class Services(Namespaces):
    """Services are made at once; a change of their records is an operation."""

    def create_service(self, request: Document) -> Document:
        """Make a service. The same request with the same CreatorRequestId finds the one it made before."""
        settings = {k: v for k, v in request.items() if k != "Tags"}
        namespace = self.namespace(request.get("NamespaceId") or (request.get("DnsConfig") or {}).get("NamespaceId") or "")
        dns = self._dns(namespace, request)
        self._check_health(namespace, request)
        held = namespace.services.get(namespace.named(request["Name"]))
        if held is not None:
            if "CreatorRequestId" in request and held.request == settings:
                return {"Service": held.shown(self.account)}
            raise AwsError(
                "ServiceAlreadyExists",
                f"{request['Name']} exists in {namespace.name}.",
                CreatorRequestId=held.token,
                ServiceId=held.id,
                ServiceArn=held.arn,
            )
        ident = f"srv-{self.new_id(16)}"
        service = Service(
            id=ident,
            arn=self.arn(f"service/{ident}", namespace.owner),
            name=request["Name"],
            namespace_id=namespace.id,
            kind="DNS_HTTP" if dns else "HTTP",
            description=request.get("Description", ""),
            token=request.get("CreatorRequestId") or self.new_id(32),
            created=self.now,
            place=self.place(),
            dns=dns,
            health_check=request.get("HealthCheckConfig"),
            custom_health={"FailureThreshold": 1} if request.get("HealthCheckCustomConfig") is not None else None,
            request=settings,
        )
        self.services[ident] = namespace.services[namespace.named(service.name)] = service
        self.tags[service.arn] = as_tags(request.get("Tags"))
        return {"Service": service.shown(self.account)}

    def _dns(self, namespace: Namespace, request: Document) -> Document | None:
        config = request.get("DnsConfig")
        if namespace.kind == "HTTP":
            if config:
                raise AwsError("InvalidInput", "A service in an HTTP namespace has no DNS records.")
            return None
        if request.get("Type") == "HTTP":
            if config:
                raise AwsError("InvalidInput", "A service of type HTTP has no DNS records.")
            return None
        if not config or not config["DnsRecords"]:
            raise AwsError("InvalidInput", "A service in a DNS namespace needs a DnsConfig, or the type HTTP.")
        kinds = {record["Type"] for record in config["DnsRecords"]}
        policy = config.get("RoutingPolicy", "MULTIVALUE")
        if kinds not in RECORD_SETS or len(kinds) != len(config["DnsRecords"]):
            raise AwsError("InvalidInput", f"Records of types {', '.join(sorted(kinds))} do not go together.")
        if "CNAME" in kinds and policy != "WEIGHTED":
            raise AwsError("InvalidInput", "CNAME records need the routing policy WEIGHTED.")
        return {"NamespaceId": namespace.id, "RoutingPolicy": policy, "DnsRecords": config["DnsRecords"]}

    def _check_health(self, namespace: Namespace, request: Document) -> None:
        if request.get("HealthCheckConfig") and request.get("HealthCheckCustomConfig") is not None:
            raise AwsError("InvalidInput", "HealthCheckConfig and HealthCheckCustomConfig exclude each other.")
        if request.get("HealthCheckConfig") and namespace.kind == "DNS_PRIVATE":
            raise AwsError("InvalidInput", "HealthCheckConfig is for public DNS and HTTP namespaces.")
        kinds = {record["Type"] for record in (request.get("DnsConfig") or {}).get("DnsRecords", ())}
        if request.get("HealthCheckConfig") and "CNAME" in kinds:
            raise AwsError("InvalidInput", "CNAME records and HealthCheckConfig exclude each other.")

    def get_service(self, request: Document) -> Document:
        """One service."""
        return {"Service": self.service(request["Id"]).shown(self.account)}

    def list_services(self, request: Document) -> Document:
        """All that pass every filter."""

        def passes(service: Service) -> bool:
            namespace = self.namespaces[service.namespace_id]
            fields = {"NAMESPACE_ID": namespace.arn if namespace.owner else namespace.id, "RESOURCE_OWNER": self.ownership(namespace)}
            return all(matches(fields[f["Name"]], f.get("Condition", "EQ"), f["Values"]) for f in request.get("Filters", ()))

        chosen = [service for service in self.services.values() if passes(service)]
        return self.listed(chosen, request, lambda service: service.shown(self.account, full=False), "Services")

    def update_service(self, request: Document) -> Document:
        """Change description and records; records that are not named again are taken away (API model, UpdateService)."""
        service = self.service(request["Id"])
        change = request["Service"]
        records = (change.get("DnsConfig") or {}).get("DnsRecords")
        if records and service.dns and {r["Type"] for r in records} != {r["Type"] for r in service.dns["DnsRecords"]}:
            raise AwsError("InvalidInput", "The types of a service's records cannot be changed: make the service again.")
        if records and not service.dns:
            raise AwsError("InvalidInput", "The service has no DNS records.")
        return {"OperationId": self.begin("UPDATE_SERVICE", {"SERVICE": service.id}, ("service", service, change)).id}

    def finish_service(self, operation: Operation) -> None:
        """The end of UpdateService."""
        _, service, change = operation.payload
        if operation.status == "FAIL":
            return
        service.description = change.get("Description", service.description)
        if service.dns:
            records = (change.get("DnsConfig") or {}).get("DnsRecords")
            service.dns = {**service.dns, "DnsRecords": records} if records else None
        service.health_check = change.get("HealthCheckConfig")

    def delete_service(self, request: Document) -> Document:
        """Only an empty one. A registration still under way will fail when its time comes."""
        service = self.service(request["Id"])
        if service.instances:
            raise AwsError("ResourceInUse", f"The service {service.id} has {len(service.instances)} instances.")
        del self.services[service.id]
        namespace = self.namespaces[service.namespace_id]
        namespace.services.pop(namespace.named(service.name), None)
        self.tags.pop(service.arn, None)
        return {}

    def get_service_attributes(self, request: Document) -> Document:
        """The attributes of the service itself."""
        service = self.service(request["ServiceId"])
        return {"ServiceAttributes": {"ServiceArn": service.arn, "ResourceOwner": self.account, "Attributes": dict(service.attributes)}}

    def update_service_attributes(self, request: Document) -> Document:
        """Add or replace some."""
        service = self.service(request["ServiceId"])
        merged = {**service.attributes, **request["Attributes"]}
        if len(merged) > SERVICE_ATTRIBUTES_MOST:
            raise AwsError(
                "ServiceAttributesLimitExceededException", f"A service can have at most {SERVICE_ATTRIBUTES_MOST} attributes of its own."
            )
        service.attributes = merged
        return {}

    def delete_service_attributes(self, request: Document) -> Document:
        """Take some away."""
        service = self.service(request["ServiceId"])
        for key in request["Attributes"]:
            service.attributes.pop(key, None)
        return {}
