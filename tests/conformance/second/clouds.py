"""Two clouds reached in the same way, by the environment as in a function: the world's servers, and moto's."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from crossmesh.adapters.app_mesh import AppMesh
from crossmesh.adapters.cloud_map import CloudMap
from crossmesh.adapters.dynamodb import DynamoState
from crossmesh.adapters.elb import ElasticLoadBalancing
from crossmesh.adapters.s3 import S3RunStore
from crossmesh.adapters.stepfunctions import StepFunctions
from crossmesh.errors import Conflict, CrossmeshError, NotFound, RefusedError, ServiceGone, Throttled, TransientError
from moto.server import ThreadedMotoServer

from tests.conformance.aws_drivers import ServerProcess, post
from tests.conformance.conftest import PLAIN
from world.aws.clients import environment
from world.aws.seed import seed
from world.clusters.client import wait_for

REGION = "us-east-1"
KINDS = (Conflict, NotFound, RefusedError, ServiceGone, Throttled, TransientError)


class Cloud:
    """The adapters, and plain clients for what an adapter does not do itself."""

    def __init__(self, name: str, make_classic: Callable[[str], None]) -> None:
        self.name, self.make_classic = name, make_classic  # with a healthy instance and one that is not; the world's data plane makes its own
        self._clients: dict[str, Any] = {}
        self.registry, self.mesh = CloudMap(REGION), AppMesh(REGION)
        self.balancers, self.executions = ElasticLoadBalancing(REGION), StepFunctions(REGION)
        self.api("s3").create_bucket(Bucket="runs")
        keys: Any = {
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        }
        self.api("dynamodb").create_table(TableName="state", BillingMode="PAY_PER_REQUEST", **keys)
        self.state, self.runs = DynamoState(REGION, "state"), S3RunStore(REGION, "runs")

    def api(self, service: str) -> Any:
        """A plain client."""
        if service not in self._clients:
            self._clients[service] = boto3.client(service, region_name=REGION)  # type: ignore[call-overload]
        return self._clients[service]

    def done(self, operation: str) -> None:
        """Until Cloud Map's operation has succeeded."""
        wait_for(lambda: self.registry.operation(operation).status == "SUCCESS", 10, operation)

    def new_vpc(self) -> str:
        """Its id."""
        return str(self.api("ec2").create_vpc(CidrBlock="10.30.0.0/16")["Vpc"]["VpcId"])

    def namespace(self, name: str, kind: str = "private_dns") -> str:
        """The id of a new namespace."""
        asked = {"Vpc": self.new_vpc()} if kind == "private_dns" else {}
        operation = getattr(self.api("servicediscovery"), f"create_{kind}_namespace")(Name=name, **asked)["OperationId"]
        self.done(operation)
        return str(self.api("servicediscovery").get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"])


def outcome(ask: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What a call answers, or the kind and code of its refusal."""
    try:
        return ask(*arguments, **named)
    except CrossmeshError as error:
        kind = next((kind for kind in KINDS if isinstance(error, kind)), type(error))
        return f"{kind.__name__} {getattr(error, 'code', '')}".strip()
    except ClientError as error:
        return f"refused {error.response['Error']['Code']}"


@contextmanager
def world_cloud(folder: Path) -> Iterator[Cloud]:
    """The world's AWS: its own server and ministack."""
    process = ServerProcess(folder)
    (folder / "eksc1.ca.pem").write_text("-----BEGIN CERTIFICATE-----")  # no cluster runs; DescribeCluster tells what its file holds
    try:
        process.start("world.aws.ministack_host")
        process.start("world.aws.server")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment(process.world).items():
                patch.setenv(name, value)
            seed(process.world)
            own = f"http://127.0.0.1:{process.world['ports']['aws']}"
            post(f"{own}/_world/settings", PLAIN)
            yield Cloud("world", lambda name: post(f"{own}/_world/load-balancers", _classic(name)))
    finally:
        process.stop()


def _classic(name: str) -> Any:
    instances = [{"id": "i-1"}, {"id": "i-2", "state": "OutOfService"}]
    return {"name": name, "hostname": f"{name}-17.{REGION}.elb.amazonaws.com", "listeners": [{"port": 80}], "instances": instances}


def _make_classic(name: str) -> None:
    ec2, elb = boto3.client("ec2", region_name=REGION), boto3.client("elb", region_name=REGION)
    image = ec2.describe_images()["Images"][0]["ImageId"]
    instances = [one["InstanceId"] for one in ec2.run_instances(ImageId=image, MinCount=2, MaxCount=2)["Instances"]]
    ec2.stop_instances(InstanceIds=instances[1:])
    listener: Any = {"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 30080}
    elb.create_load_balancer(LoadBalancerName=name, Listeners=[listener], AvailabilityZones=[f"{REGION}a"])
    elb.register_instances_with_load_balancer(LoadBalancerName=name, Instances=[{"InstanceId": one} for one in instances])


@contextmanager
def moto_cloud() -> Iterator[Cloud]:
    """moto's server in this process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {
                "AWS_ENDPOINT_URL": f"http://{host}:{port}",
                "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
                "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-test",
                "AWS_SESSION_TOKEN": "",
                "AWS_CONFIG_FILE": "/dev/null",
                "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
                "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
                "AWS_DEFAULT_REGION": REGION,
                "AWS_REGION": REGION,
                "NO_PROXY": "127.0.0.1,localhost",
            }.items():
                patch.setenv(name, value)
            yield Cloud("moto", _make_classic)
    finally:
        server.stop()


@contextmanager
def noted() -> Iterator[set[str]]:
    """Every operation that a client asks meanwhile, as service:Operation."""
    found: set[str] = set()
    lock, call = threading.Lock(), BaseClient._make_api_call

    def asked(self: Any, operation: str, parameters: Any) -> Any:
        with lock:
            found.add(f"{self.meta.service_model.service_name}:{operation}")
        return call(self, operation, parameters)

    with mock.patch.object(BaseClient, "_make_api_call", asked):
        yield found
