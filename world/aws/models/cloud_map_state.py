"""The state under Cloud Map's operations: indexes, ids, and the queue of work accepted but not yet done."""

import heapq
import random
import string
from collections.abc import Callable
from typing import Any

from world.aws.models.cloud_map_records import CloudMapSettings, Document, Namespace, Operation, Service
from world.aws.models.errors import AwsError
from world.aws.models.pages import BadTokenError, page

_LETTERS = string.ascii_lowercase + string.digits
OPERATIONS_KEPT = 20_000


class CloudMapState:
    """Everything that one account holds in one region. `now` is set once a call, from the clock that was given."""

    def __init__(self, clock: Callable[[], float], rng: random.Random, account: str, region: str, settings: CloudMapSettings) -> None:
        self.clock, self.rng, self.account, self.region, self.settings = clock, rng, account, region, settings
        self.now = clock()
        self.namespaces: dict[str, Namespace] = {}
        self.namespace_ids: dict[str, str] = {}
        self.services: dict[str, Service] = {}
        self.operations: dict[str, Operation] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.in_flight: dict[tuple[str, str], Operation] = {}
        self.tokens: dict[tuple[str, str], tuple[float, Operation, Document]] = {}
        self._queue: list[tuple[float, int, Operation]] = []
        self._places = 0

    def place(self) -> int:
        """The next place in the order of things: pages go by it."""
        self._places += 1
        return self._places

    def new_id(self, length: int) -> str:
        """A random id from the seeded source."""
        return "".join(self.rng.choices(_LETTERS, k=length))

    def arn(self, path: str, owner: str = "") -> str:
        """The ARN of a namespace or service; `owner`: of another account."""
        return f"arn:aws:servicediscovery:{self.region}:{owner or self.account}:{path}"

    def ownership(self, namespace: Namespace) -> str:
        """As the filter RESOURCE_OWNER has it."""
        return "OTHER_ACCOUNTS" if namespace.owner else "SELF"

    def namespace(self, reference: str) -> Namespace:
        """By id or ARN; one of another account by ARN alone. Raises NamespaceNotFound."""
        found = self.namespaces.get(reference) or self.namespaces.get(reference.rpartition("/")[2])
        if found is None or (found.owner and reference != found.arn):
            raise AwsError("NamespaceNotFound", f"Namespace {reference} was not found.")
        return found

    def service(self, reference: str) -> Service:
        """By id or ARN; one in another account's namespace by ARN alone. Raises ServiceNotFound."""
        found = self.services.get(reference) or self.services.get(reference.rpartition("/")[2])
        if found is None or (self.namespaces[found.namespace_id].owner and reference != found.arn):
            raise AwsError("ServiceNotFound", f"Service {reference} was not found.")
        return found

    def begin(self, kind: str, targets: dict[str, str], payload: Any) -> Operation:
        """Accept work. With no lag it is done before the caller sees its id."""
        lag = self.settings.operation_lag_s
        if lag and self.settings.operation_jitter:
            lag *= 1 + self.rng.uniform(-1, 1) * self.settings.operation_jitter
        operation = Operation(
            id=f"{self.new_id(32)}-{self.new_id(8)}",
            kind=kind,
            targets=targets,
            created=self.now,
            due=self.now + lag,
            payload=payload,
            updated=self.now,
        )
        self.operations[operation.id] = operation
        if len(self.operations) > OPERATIONS_KEPT:
            self._forget_oldest()
        if lag <= 0:
            self.conclude(operation)
        else:
            heapq.heappush(self._queue, (operation.due, self.place(), operation))
        return operation

    def settle(self) -> None:
        """Do all work that is due."""
        while self._queue and self._queue[0][0] <= self.now:
            self.conclude(heapq.heappop(self._queue)[2])

    def next_due(self) -> float | None:
        """When the next work is due: a simulator may advance its clock to it."""
        return self._queue[0][0] if self._queue else None

    def conclude(self, operation: Operation) -> None:
        """End an operation: its effect, or the late failure that was laid for it."""
        instance = operation.targets.get("INSTANCE", "")
        self.in_flight.pop((operation.targets.get("SERVICE", ""), instance), None)
        operation.updated = max(operation.due, operation.created)
        failure = next((f for f in self.settings.late_failures if f.takes(operation.kind, instance)), None)
        operation.status = "FAIL" if failure else "SUCCESS"
        if failure:
            operation.code, operation.message = failure.code, failure.message
        self.finish(operation)
        operation.payload = None

    def finish(self, operation: Operation) -> None:
        """Bring about what an operation is for; implemented where the operations are."""
        raise NotImplementedError

    def listed(self, items: list[Any], request: Document, shown: Callable[[Any], Document], name: str, most: int = 100) -> Document:
        """One page of `items` (in order of their places) under `name`."""
        wanted = request.get("MaxResults", most)
        if not 1 <= wanted <= most:
            raise AwsError("InvalidInput", f"MaxResults is 1 to {most}.")
        try:
            chosen, token = page(items, [item.place for item in items], request.get("NextToken"), wanted)
        except BadTokenError as error:
            raise AwsError("InvalidInput", "The NextToken is not one that a list gave.") from error
        document: Document = {name: [shown(item) for item in chosen]}
        if token:
            document["NextToken"] = token
        return document

    def _forget_oldest(self) -> None:
        for key, operation in self.operations.items():
            if operation.status in ("SUCCESS", "FAIL"):
                del self.operations[key]
                return
