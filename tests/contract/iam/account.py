"""An AWS account in this process: the real adapters and botocore clients call it, and every call is judged by the role of the function that makes it.

Cloud Map, App Mesh and EKS are the world's models and ask what the world's server asks (world/aws/permissions.py); the run store, the
state table, STS, Step Functions, EC2 and both Elastic Load Balancing APIs are as small as the adapters' use of them. Nothing leaves the process.
"""

import datetime
import io
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from crossmesh.adapters import aws
from crossmesh.adapters.eks import Eks as EksAdapter
from crossmesh.adapters.memory import MemoryClock, MemoryClusters, MemoryInstances, MemoryTelemetry
from crossmesh.core.canary.sample import Sample
from crossmesh.core.compiler.cluster_manifests import ListedDocuments
from crossmesh.core.diagnosis.facts import ServiceFacts, Workloads
from crossmesh.core.observed import Seen, Unseen
from crossmesh.core.patience import WHOLE
from crossmesh.core.settings import ClusterSettings, ServiceTarget
from crossmesh.driver import drive
from crossmesh.errors import CrossmeshError
from crossmesh.ports import PodRef
from crossmesh.runtime import Ports
from crossmesh.usecases import manifests
from crossmesh.usecases.context import Context
from ministack.core import iam_evaluator

from tests.contract.template import ACCOUNT, REGION, Filled
from world.aws.models.app_mesh import AppMesh
from world.aws.models.cloud_map import CloudMap
from world.aws.models.eks import Cluster, Eks
from world.aws.models.errors import AwsError
from world.aws.permissions import Need, app_mesh_needs, cloud_map_needs, denied, eks_needs

Document = dict[str, Any]
TABLE, BUCKET = "Table", "Bucket"
START = 1_800_000_000.0
SERVICES = ("servicediscovery", "appmesh", "eks", "sts", "stepfunctions", "s3", "dynamodb", "ec2", "elb", "elbv2")
CIDR = "172.16.0.0/16"  # of every cluster's VPC


class Grant(msgspec.Struct, frozen=True, order=True):
    """One action that one statement of one function's role allows."""

    function: str
    sid: str
    action: str


def folder_of(function: str) -> str:
    """A function's folder, and its step's name."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in function.removesuffix("Function")).lstrip("_")


def grants(template: Filled) -> dict[Grant, Document]:
    """Every grant that the template itself makes to functions, with its statement."""
    found = {}
    for name in template.of_type("AWS::Lambda::Function"):
        for policy in template.resource(f"{name}Role").get("Policies", ()):
            for statement in policy["PolicyDocument"]["Statement"]:
                if "Sid" in statement:
                    for action in statement["Action"]:
                        found[Grant(name, statement["Sid"], action)] = statement
    return found


class Wire:
    """Between a client and the account that answers it now: a client costs tens of milliseconds to make and outlives its account."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.account: InProcessAccount | None = None
        self._asked = threading.local()

    def hear(self, params: Document, **_: Any) -> None:
        """The parameters, before they are serialised."""
        self._asked.params = params

    def answer(self, model: Any, **_: Any) -> tuple[Any, Document]:
        """What comes in place of an HTTP answer."""
        assert self.account is not None
        return self.account.answer(self.service, model.name, self._asked.params)


@cache
def _client(service: str) -> tuple[Any, Wire]:
    found, wire = aws.client(service, REGION), Wire(service)
    name = found.meta.service_model.service_id.hyphenize()
    found.meta.events.register(f"provide-client-params.{name}", wire.hear)
    found.meta.events.register(f"before-call.{name}", wire.answer)
    return found, wire


class InProcessAccount:
    """State of the account, and the role in force."""

    def __init__(self, template: Filled) -> None:
        self.clock = MemoryClock(START)
        self.rng = rng = random.Random(3)
        self.cloud_map = CloudMap(self.clock.now, rng, account=ACCOUNT, region=REGION)
        self.app_mesh = AppMesh(self.clock.now, rng, account=ACCOUNT, region=REGION)
        clusters = [Cluster(name, f"https://{name}", _NoCertificate(), name) for name in ("eksc1", "eksc2")]  # type: ignore[arg-type]
        self.eks = Eks(self.clock.now, rng, account=ACCOUNT, region=REGION, clusters=clusters, network=_network)
        self.rules: dict[str, list[Document]] = {f"sg-{cluster.name}": [] for cluster in clusters}  # security group -> its IpPermissions
        self.tags = {group: {"crossmesh:owner": "demo"} for group in self.rules}  # as docs/how-to/prepare-an-account.md says
        self.balancers: dict[str, tuple[str, str]] = {}  # name -> (classic | network | application, state of its one target)
        self.items: dict[str, Document] = {}
        self.objects: dict[str, bytes] = {}
        self.written: dict[str, datetime.datetime] = {}
        self.running: set[str] = set()
        self.statements = grants(template)
        self.removed: Grant | None = None
        self.function = ""
        self.used: set[Grant] = set()
        self.calls: list[str] = []
        self.samples: tuple[Sample, ...] = ()
        self.telemetry = MemoryTelemetry()
        self._lock = threading.RLock()
        self.clusters = ReachedClusters(self.clock)
        self.instances = MemoryInstances()

    # --- a function at work -------------------------------------------------------------------------------------------------------------

    def invoke(self, function: str, context: Context, **event: Any) -> Any:
        """Run a function's step with the real adapters, as its role."""
        task = import_module(f"crossmesh.steps.{folder_of(function)}").TASK
        self.function = function
        ports = Ports(REGION, TABLE, BUCKET)
        ports._made |= {
            "Clock": self.clock,
            "Clusters": self.clusters,
            "Telemetry": self.telemetry,
            "Instances": self.instances,
            "Front": SimpleNamespace(probe=lambda *_, **__: self.samples),
        }
        self.clusters.eks = None
        asked = msgspec.convert(msgspec.to_builtins(event), task.request)
        return drive(manifests.with_active_manifests(task, asked, context), ports)

    def judge(self, needs: Sequence[Need]) -> None:
        """Raise AccessDeniedException unless the role in force allows all; the statements that allowed are noted as used."""
        for need in needs:
            allowing = [grant for grant in self.statements if grant.function == self.function and self._allows(grant, need)]
            if not allowing:
                raise denied(f"arn:aws:sts::{ACCOUNT}:assumed-role/{self.function}Role/x", need, "because no identity-based policy allows it")
            self.used |= set(allowing)

    def _allows(self, grant: Grant, need: Need) -> bool:
        if grant == self.removed or grant.action.lower() != need.action.lower():
            return False
        statement = {**self.statements[grant], "Action": [grant.action]}
        asked = iam_evaluator.EvalContext(
            principal_arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/{grant.function}Role/x",
            principal_type="AssumedRole",
            principal_account=ACCOUNT,
            action=need.action,
            resource_arn=need.resource,
            region=REGION,
            service_context={key.lower(): value for key, value in need.context.items()},
        )
        policy = iam_evaluator.parse_policy_document({"Version": "2012-10-17", "Statement": [statement]})
        return bool(iam_evaluator.evaluate(asked, [policy]).decision == "Allow")

    # --- the wire -----------------------------------------------------------------------------------------------------------------------

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Every client that the adapters make from here on calls this account."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}.items():
                patch.setenv(name, value)
            clients = {service: _client(service) for service in SERVICES}
            patch.setattr(aws, "client", lambda service, region=None, **_: clients[service][0])
            for _, wire in clients.values():
                wire.account = self
            yield

    def answer(self, service: str, operation: str, params: Document) -> tuple[Any, Document]:
        """A call's (HTTP response, parsed answer)."""
        with self._lock:
            self.calls.append(f"{service}:{operation}")
            try:
                output = getattr(self, f"_{service}")(operation, params)
            except AwsError as error:
                failed = {"Error": {"Code": error.code, "Message": error.message}, "ResponseMetadata": {"HTTPStatusCode": 400}, **error.members}
                return SimpleNamespace(status_code=400), failed
        return SimpleNamespace(status_code=200), {**output, "ResponseMetadata": {"HTTPStatusCode": 200}}

    def _servicediscovery(self, operation: str, params: Document) -> Document:
        self.judge(cloud_map_needs(self.cloud_map, operation, params))
        return self.cloud_map.call(operation, params)

    def _appmesh(self, operation: str, params: Document) -> Document:
        self.judge(app_mesh_needs(self.app_mesh, operation, params))
        return self.app_mesh.call(operation, params)

    def _eks(self, operation: str, params: Document) -> Document:
        if params["name"] in self.eks.clusters:
            self.judge(eks_needs(self.eks, operation, params))
        return self.eks.call(operation, params)

    def _sts(self, operation: str, params: Document) -> Document:
        self.judge([Need(f"sts:{operation}", params["RoleArn"])])
        until = datetime.datetime.fromtimestamp(self.clock.now() + 3600, datetime.UTC)
        return {"Credentials": {"AccessKeyId": "AKIB", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": until}}

    def _stepfunctions(self, operation: str, params: Document) -> Document:
        self.judge([Need(f"states:{operation}", params["executionArn"])])
        if params["executionArn"] not in self.running:
            raise AwsError("ExecutionDoesNotExist", "it is gone")
        return {"status": "RUNNING"}

    def _ec2(self, operation: str, params: Document) -> Document:
        """Whether a call may be limited to a resource: Service Authorization Reference, EC2."""
        if operation == "DescribeVpcs":
            self.judge([Need("ec2:DescribeVpcs")])
            return {"Vpcs": [{"CidrBlock": CIDR} for _ in params["VpcIds"]]}
        if operation == "DescribeSecurityGroups":
            self.judge([Need("ec2:DescribeSecurityGroups")])
            return {"SecurityGroups": [{"GroupId": group, "IpPermissions": self.rules[group]} for group in params["GroupIds"]]}
        tags = {f"aws:ResourceTag/{key}": value for key, value in self.tags[params["GroupId"]].items()}
        self.judge([Need(f"ec2:{operation}", f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/{params['GroupId']}", tags)])
        held = self.rules[params["GroupId"]]
        for rule in params["IpPermissions"]:
            {"AuthorizeSecurityGroupIngress": held.append, "RevokeSecurityGroupIngress": held.remove}[operation](rule)
        return {"Return": True}

    def _elb(self, operation: str, params: Document) -> Document:
        """The classic API. Its reads take no resource, nor do the newer one's (Service Authorization Reference)."""
        self.judge([Need(f"elasticloadbalancing:{operation}")])
        (name,) = params.get("LoadBalancerNames") or (params["LoadBalancerName"],)
        kind, state = self.balancers.get(name, ("", ""))
        if kind != "classic":
            raise AwsError("LoadBalancerNotFound", name)
        if operation == "DescribeInstanceHealth":
            return {"InstanceStates": [{"InstanceId": "i-1", "State": state}]}
        return {"LoadBalancerDescriptions": [{"ListenerDescriptions": [{"Listener": {"LoadBalancerPort": 80}}]}]}

    def _elbv2(self, operation: str, params: Document) -> Document:
        self.judge([Need(f"elasticloadbalancing:{operation}")])
        if operation == "DescribeLoadBalancers":
            (name,) = params["Names"]
            kind, _ = self.balancers.get(name, ("", ""))
            if kind not in ("network", "application"):
                raise AwsError("LoadBalancerNotFound", name)
            return {"LoadBalancers": [{"LoadBalancerArn": name, "Type": kind}]}
        if operation == "DescribeListeners":
            return {"Listeners": [{"Port": 80}]}
        if operation == "DescribeTargetGroups":
            return {"TargetGroups": [{"TargetGroupArn": params["LoadBalancerArn"]}]}
        _, state = self.balancers[params["TargetGroupArn"]]
        return {"TargetHealthDescriptions": [{"Target": {"Id": "i-1", "Port": 80}, "TargetHealth": {"State": state}}]}

    def _s3(self, operation: str, params: Document) -> Document:
        bucket, key = f"arn:aws:s3:::{params['Bucket']}", params.get("Key", "")
        if operation == "ListObjectsV2":
            self.judge([Need("s3:ListBucket", bucket, {"s3:prefix": params["Prefix"]})])
            found = [name for name in sorted(self.objects) if name.startswith(params["Prefix"])]
            return {"Contents": [{"Key": name, "LastModified": self.written.get(name, self._now())} for name in found]}
        if operation == "DeleteObjects":
            names = [one["Key"] for one in params["Delete"]["Objects"]]
            self.judge([Need("s3:DeleteObject", f"{bucket}/{name}") for name in names])
            for name in names:
                self.objects.pop(name, None)
            return {}
        self.judge([Need(f"s3:{operation}", f"{bucket}/{key}")])
        if operation == "PutObject":
            body = params["Body"]
            self.objects[key] = body if isinstance(body, bytes) else body.read()
            self.written[key] = self._now()
            return {}
        if key not in self.objects:
            self.judge([Need("s3:ListBucket", bucket)])  # S3 tells only those who may list that an object is not there
            raise AwsError("NoSuchKey", key)
        return {"Body": io.BytesIO(self.objects[key])}

    def _now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.clock.now(), datetime.UTC)

    def _dynamodb(self, operation: str, params: Document) -> Document:
        leading = (params.get("Item") or params.get("Key") or {}).get("id", {}).get("S", "")
        table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{params['TableName']}"
        self.judge([Need(f"dynamodb:{operation}", table, {"dynamodb:LeadingKeys": [leading]})])
        if operation == "PutItem":
            self.items[params["Item"]["id"]["S"]] = params["Item"]
            return {}
        key = params["Key"]["id"]["S"]
        found = self.items.get(key)
        if operation == "GetItem":
            return {"Item": found} if found else {}
        values, item = params["ExpressionAttributeValues"], dict(found or params["Key"])
        for condition in params["ConditionExpression"].split(" AND "):
            name, _, value = condition.partition(" = ")
            if (found is not None) if name.startswith("attribute_not_exists") else item.get(name) != values[value]:
                raise AwsError("ConditionalCheckFailedException", condition)
        for change in params["UpdateExpression"].removeprefix("SET ").split(", "):
            name, _, value = change.partition(" = ")
            item[name] = values[value]
        self.items[key] = item
        return {}


def _network(name: str) -> Document:
    """A security group and a VPC for each cluster."""
    return {"security_group_id": f"sg-{name}", "vpc_id": f"vpc-{name}"}


class _NoCertificate:
    """A CA that nobody checks here."""

    def exists(self) -> bool:
        return True

    def read_bytes(self) -> bytes:
        return b"not asked for: pods are in memory"


class ReachedClusters(MemoryClusters):
    """Clusters whose pods are in memory, reached as the deployed functions reach them: DescribeCluster, and a token signed with the right keys."""

    eks: EksAdapter | None = None

    def observe(
        self,
        cluster: ClusterSettings,
        namespaces: tuple[str, ...],
        registered: tuple[PodRef, ...],
        identity: str,
        versions: dict[str, int],
        limit: float = WHOLE,
    ) -> Seen | Unseen:
        """As the Kubernetes adapter: what cannot be reached is unseen."""
        try:
            self._reach(cluster)
        except CrossmeshError as error:
            return Unseen(cluster=cluster.name, cause="refused", detail=str(error), begun=self.clock.now())
        return super().observe(cluster, namespaces, registered, identity, versions, limit)

    def manifests(self, cluster: ClusterSettings, identity: str, limit: float = WHOLE) -> ListedDocuments | Unseen:
        """As the Kubernetes adapter."""
        self._reach(cluster)
        return super().manifests(cluster, identity, limit)

    def service(self, target: ServiceTarget, cluster: ClusterSettings) -> ServiceFacts:
        """Raises what reaching raises."""
        self._reach(cluster)
        return super().service(target, cluster)

    def workloads(self, cluster: ClusterSettings, namespaces: tuple[str, ...]) -> Workloads:
        """Raises what reaching raises."""
        self._reach(cluster)
        return super().workloads(cluster, namespaces)

    def open_gate(self, cluster: ClusterSettings, pod: PodRef) -> None:
        """Raises what reaching raises."""
        self._reach(cluster)
        super().open_gate(cluster, pod)

    def _reach(self, cluster: ClusterSettings) -> None:
        self.eks = self.eks or EksAdapter(REGION)
        self.eks.access(cluster, self.clock.now())
        assert self.eks.token(cluster, self.clock.now())
