"""Passes over the world's model of Cloud Map by the shipped adapter, in one process; all else is in memory."""

import random
from typing import Any

from tests.sim.adapters import registry_and_mesh
from tests.support.builders import NAMESPACE
from tests.support.passes import MemoryWorld
from world.aws.models.cloud_map import CloudMap
from world.aws.models.errors import AwsError

ACCOUNT, OTHER_ACCOUNT = "111122223333", "999988887777"


class ModelledWorld(MemoryWorld):
    """`model` is Cloud Map; `asked` counts the calls by operation; `denied` holds (operation, text of the request) that are refused for lack of rights."""

    def __init__(self, *, namespace: bool = True) -> None:
        super().__init__()
        self.model = CloudMap(self.clock.now, random.Random(7))
        self.asked: list[str] = []
        self.denied: list[tuple[str, str]] = []
        self.registry: Any = registry_and_mesh(self._answer)[0]
        if namespace:
            self.namespace()

    def _answer(self, _: str, operation: str, request: dict[str, Any]) -> Any:
        self.asked.append(operation)
        if any(operation == name and text in str(request) for name, text in self.denied):
            raise AwsError("AccessDeniedException", f"not authorized to perform: servicediscovery:{operation}")
        return self.model.call(operation, request)

    def namespace(self, name: str = NAMESPACE, vpc: str = "vpc-1", kind: str = "PrivateDns") -> str:
        """Make a namespace; its id."""
        more = {} if kind == "Http" else {"Vpc": vpc} if kind == "PrivateDns" else {}
        made = self.model.call(f"Create{kind}Namespace", {"Name": name, **more})
        found: str = self.model.operations[made["OperationId"]].targets["NAMESPACE"]
        return found

    def service(self, name: str, namespace_id: str, **more: Any) -> str:
        """Make a service by hand; its id."""
        found: str = self.model.call("CreateService", {"Name": name, "NamespaceId": namespace_id, **more})["Service"]["Id"]
        return found

    def held(self, namespace_id: str, name: str) -> dict[str, dict[str, str]]:
        """Instance id -> attributes of a service; {} where there is no such service."""
        space = self.model.namespaces[namespace_id]
        service = space.services.get(space.named(name))
        return {i.id: i.attributes for i in service.instances.values()} if service else {}

    def writes(self) -> list[str]:
        """The operations that changed something, since the last time."""
        found = [name for name in self.asked if not name.startswith(("Get", "List", "Discover"))]
        self.asked.clear()
        return found
