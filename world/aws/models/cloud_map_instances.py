"""Cloud Map's instances: registering, deregistering, health and discovery."""

from world.aws.models.cloud_map_attributes import check_attributes, check_instance_id
from world.aws.models.cloud_map_records import Document, Health, Instance, Namespace, Operation, Service
from world.aws.models.cloud_map_services import Services
from world.aws.models.cloud_map_state import OPERATIONS_KEPT
from world.aws.models.errors import AwsError

DISCOVERED_BY_DEFAULT = 100
DISCOVERED_MOST = 1000


class Instances(Services):
    """Registering is accepted first and done later; one operation at a time for an instance of a service."""

    def register_instance(self, request: Document) -> Document:
        """Put an instance in, or replace all attributes of one that is there."""
        service = self.service(request["ServiceId"])
        ident, attributes = request["InstanceId"], dict(request["Attributes"])
        namespace = self.namespaces[service.namespace_id]
        check_instance_id(ident)
        check_attributes(service, namespace.kind, attributes)
        token = request.get("CreatorRequestId") or self.new_id(32)
        repeated = self._repeated(service.id, token, ident, attributes)
        if repeated:
            return {"OperationId": repeated.id}
        self._refuse_duplicate(service, ident)
        if self.settings.same_address == "refused" and (holder := self._holder(service, ident, attributes)):
            raise AwsError("InvalidInput", f"Another instance, {holder}, of the service has the same address.")
        newcomer = ident not in service.instances
        if newcomer:
            self._check_quota(service, namespace)
            service.incoming += 1
            namespace.instances += 1
        return self._begin("REGISTER_INSTANCE", service, ident, ("register", service, ident, attributes, token, newcomer))

    def deregister_instance(self, request: Document) -> Document:
        """Take an instance out."""
        service = self.service(request["ServiceId"])
        ident = request["InstanceId"]
        self._refuse_duplicate(service, ident)
        if ident not in service.instances:
            raise AwsError("InstanceNotFound", f"Instance {ident} was not found in {service.id}.")
        return self._begin("DEREGISTER_INSTANCE", service, ident, ("deregister", service, ident))

    def _begin(self, kind: str, service: Service, ident: str, payload: tuple[object, ...]) -> Document:
        operation = self.begin(kind, {"INSTANCE": ident, "SERVICE": service.id, "NAMESPACE": service.namespace_id}, payload)
        if operation.status not in ("SUCCESS", "FAIL"):
            self.in_flight[service.id, ident] = operation
        if payload[0] == "register":
            self.tokens[service.id, str(payload[4])] = (self.now, operation, {"id": ident, "attributes": payload[3]})
            if len(self.tokens) > OPERATIONS_KEPT:
                del self.tokens[next(iter(self.tokens))]
        return {"OperationId": operation.id}

    def finish_instance(self, operation: Operation) -> None:
        """The end of a registration or deregistration."""
        verb, service, ident, *rest = operation.payload
        if service.id not in self.services:
            operation.status, operation.code, operation.message = "FAIL", "INTERNAL_FAILURE", f"The service {service.id} is gone."
        namespace = self.namespaces.get(service.namespace_id)
        if namespace is None:
            return
        if verb == "deregister":
            if operation.status == "SUCCESS":
                service.note(ident, None, operation.updated)
                namespace.instances -= 1
            return
        attributes, token, newcomer = rest
        service.incoming -= newcomer
        if self.settings.same_address == "failed" and (holder := self._holder(service, ident, attributes)):
            operation.status, operation.code = "FAIL", "INVALID_CHANGE_BATCH"
            operation.message = f"Another record of the same name, type and value exists ({holder})."
        if operation.status == "FAIL":
            namespace.instances -= newcomer
            return
        held = service.instances.get(ident)
        health = held.health if held else None
        if health is None and service.custom_health:
            health = Health(attributes.get("AWS_INIT_HEALTH_STATUS", "HEALTHY"))
        place = held.place if held else self.place()
        service.note(ident, Instance(ident, attributes, token, place, health), operation.updated)

    def _holder(self, service: Service, ident: str, attributes: dict[str, str]) -> str:
        """Another instance with one of the addresses, where the service has records of its type; "" = none."""
        kinds = {record["Type"] for record in (service.dns or {}).get("DnsRecords", ())}
        keys = [key for kind, key in (("A", "AWS_INSTANCE_IPV4"), ("AAAA", "AWS_INSTANCE_IPV6")) if kind in kinds and key in attributes]
        same = (i.id for i in service.instances.values() if i.id != ident and any(i.attributes.get(key) == attributes[key] for key in keys))
        return next(same, "")

    def _repeated(self, service_id: str, token: str, ident: str, attributes: dict[str, str]) -> Operation | None:
        """The operation that this very request (token, id, attributes) began before, while the token is remembered."""
        known = self.tokens.get((service_id, token))
        if known is None:
            return None
        since, operation, request = known
        if self.now - since > self.settings.token_memory_s:
            del self.tokens[service_id, token]
            return None
        same = request == {"id": ident, "attributes": attributes}
        return operation if same and operation.status != "FAIL" else None

    def _refuse_duplicate(self, service: Service, ident: str) -> None:
        under_way = self.in_flight.get((service.id, ident))
        if under_way:
            raise AwsError("DuplicateRequest", f"An operation on instance {ident} is under way.", DuplicateOperationId=under_way.id)

    def _check_quota(self, service: Service, namespace: Namespace) -> None:
        if len(service.instances) + service.incoming >= self.settings.instances_per_service:
            raise AwsError("ResourceLimitExceeded", f"A service can have at most {self.settings.instances_per_service} instances.")
        if namespace.instances >= self.settings.instances_per_namespace:
            raise AwsError("ResourceLimitExceeded", f"A namespace can have at most {self.settings.instances_per_namespace} instances.")

    def get_instance(self, request: Document) -> Document:
        """One instance."""
        service = self.service(request["ServiceId"])
        instance = self._instance(service, request["InstanceId"])
        return {"ResourceOwner": self.account, "Instance": {**instance.shown(), "CreatorRequestId": instance.token}}

    def _instance(self, service: Service, ident: str) -> Instance:
        if ident not in service.instances:
            raise AwsError("InstanceNotFound", f"Instance {ident} was not found in {service.id}.")
        return service.instances[ident]

    def list_instances(self, request: Document) -> Document:
        """All instances, 100 a page at most, without health."""
        service = self.service(request["ServiceId"])
        return {"ResourceOwner": self.account, **self.listed(list(service.instances.values()), request, Instance.shown, "Instances")}

    def get_instances_health_status(self, request: Document) -> Document:
        """Health by instance, 100 a page at most."""
        service = self.service(request["ServiceId"])
        asked = request.get("Instances")
        chosen = [self._instance(service, ident) for ident in asked] if asked else list(service.instances.values())
        document = self.listed(chosen, request, lambda instance: {"id": instance.id, "status": instance.status(self.now)}, "Status")
        document["Status"] = {entry["id"]: entry["status"] for entry in document["Status"]}
        return document

    def update_instance_custom_health_status(self, request: Document) -> Document:
        """Ask for a status; it takes effect after the lag (30 s on AWS: HealthCheckCustomConfig in the API model)."""
        service = self.service(request["ServiceId"])
        instance = self._instance(service, request["InstanceId"])
        if instance.health is None:
            raise AwsError("CustomHealthNotFound", f"The service {service.id} has no custom health check.")
        instance.health.ask(request["Status"], self.now, self.settings.health_lag_s)
        return {}

    def _named(self, request: Document) -> tuple[str, Service]:
        owner, name = request.get("OwnerAccount", self.account), request["NamespaceName"]
        namespace_id = self.namespace_ids.get(name if owner == self.account else f"{owner}/{name}")
        if namespace_id is None:
            raise AwsError("NamespaceNotFound", f"Namespace {request['NamespaceName']} was not found.")
        namespace = self.namespaces[namespace_id]
        service = namespace.services.get(namespace.named(request["ServiceName"]))
        if service is None:
            raise AwsError("ServiceNotFound", f"Service {request['ServiceName']} was not found.")
        service.discover(self.now - self.settings.discovery_lag_s)
        return request["NamespaceName"], service

    def discover_instances_revision(self, request: Document) -> Document:
        """Rises with each registration and deregistration, not with health."""
        return {"InstancesRevision": self._named(request)[1].discovered_revision}

    def discover_instances(self, request: Document) -> Document:
        """Instances by name, in no order, cut without notice at MaxResults (100 by default)."""
        most = request.get("MaxResults", DISCOVERED_BY_DEFAULT)
        if not 1 <= most <= DISCOVERED_MOST:
            raise AwsError("InvalidInput", f"MaxResults is 1 to {DISCOVERED_MOST}.")
        name, service = self._named(request)
        wanted = (request.get("QueryParameters") or {}).items()
        found = [instance for instance in service.discovered.values() if wanted <= instance.attributes.items()]
        found = self._by_health(service, found, request.get("HealthStatus", "ALL"))
        preferred = (request.get("OptionalParameters") or {}).items()
        found = [instance for instance in found if preferred <= instance.attributes.items()] or found
        chosen = self.rng.sample(found, min(len(found), most))
        return {
            "InstancesRevision": service.discovered_revision,
            "Instances": [
                {
                    "InstanceId": instance.id,
                    "NamespaceName": name,
                    "ServiceName": service.name,
                    "HealthStatus": instance.status(self.now),
                    "Attributes": dict(instance.attributes),
                }
                for instance in chosen
            ],
        }

    def _by_health(self, service: Service, instances: list[Instance], wanted: str) -> list[Instance]:
        if wanted == "ALL" or not service.custom_health:
            return instances
        status = "HEALTHY" if wanted == "HEALTHY_OR_ELSE_ALL" else wanted
        chosen = [instance for instance in instances if instance.status(self.now) == status]
        return instances if wanted == "HEALTHY_OR_ELSE_ALL" and not chosen else chosen
