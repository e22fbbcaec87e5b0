"""Cloud Map: the model that the server and the simulator both drive.

Not grown on moto's backend, which reads the wall clock and a global random source, keeps instances in lists, and answers most calls
otherwise than AWS (registering twice appends, everything succeeds at once, nothing is ever too much): of 30 operations 4 would stay.
"""

import random
from collections.abc import Callable

from botocore import xform_name

from world.aws.models.cloud_map_instances import Instances
from world.aws.models.cloud_map_records import CloudMapSettings, Document, Operation
from world.aws.models.errors import AwsError
from world.aws.models.throttle import Throttle

OPERATIONS = (
    "CreateHttpNamespace",
    "CreatePrivateDnsNamespace",
    "CreatePublicDnsNamespace",
    "CreateService",
    "DeleteNamespace",
    "DeleteService",
    "DeleteServiceAttributes",
    "DeregisterInstance",
    "DiscoverInstances",
    "DiscoverInstancesRevision",
    "GetInstance",
    "GetInstancesHealthStatus",
    "GetNamespace",
    "GetOperation",
    "GetService",
    "GetServiceAttributes",
    "ListInstances",
    "ListNamespaces",
    "ListOperations",
    "ListServices",
    "ListTagsForResource",
    "RegisterInstance",
    "TagResource",
    "UntagResource",
    "UpdateHttpNamespace",
    "UpdateInstanceCustomHealthStatus",
    "UpdatePrivateDnsNamespace",
    "UpdatePublicDnsNamespace",
    "UpdateService",
    "UpdateServiceAttributes",
)

_METHODS = {name: xform_name(name) for name in OPERATIONS}


class CloudMap(Instances):
    """`call` is the whole interface: an operation's name and its request in AWS's shape; answers in AWS's shape, dates as epoch seconds."""

    def __init__(
        self,
        clock: Callable[[], float],
        rng: random.Random,
        *,
        account: str = "111122223333",
        region: str = "us-east-1",
        settings: CloudMapSettings | None = None,
    ) -> None:
        super().__init__(clock, rng, account, region, settings or CloudMapSettings())
        self.throttle = Throttle(self.settings.rates)

    def call(self, operation: str, request: Document) -> Document:
        """Raises AwsError for what AWS would refuse; RequestLimitExceeded or ThrottlingException beyond the rates set."""
        self.now = self.clock()
        self.settle()
        if not self.throttle.admits(operation, self.now):
            code = "RequestLimitExceeded" if operation.startswith("DiscoverInstances") else "ThrottlingException"
            raise AwsError(code, "Rate exceeded")
        answer: Document = getattr(self, _METHODS[operation])(request)
        return answer

    def finish(self, operation: Operation) -> None:
        """Bring about what an operation is for."""
        if "INSTANCE" in operation.targets:
            self.finish_instance(operation)
        elif "SERVICE" in operation.targets:
            self.finish_service(operation)
        else:
            self.finish_namespace(operation)
