"""The one place that wires: environment → context and adapters, event → step → answer.

lambda_handler = entrypoint(take_lease.TASK)
"""

import os
import threading
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec

from crossmesh import __version__, configuration
from crossmesh.core import stack_parameters
from crossmesh.core.settings import ManifestSource, MeshSettings, Settings
from crossmesh.core.topology import Topology
from crossmesh.driver import drive
from crossmesh.errors import CrossmeshError, RefusedError
from crossmesh.usecases import manifests
from crossmesh.usecases.context import Context
from crossmesh.usecases.task import A, Q, Task

PARAMETERS = {  # template parameter -> variable that carries it to the functions
    stack_parameters.OWNER: "CROSSMESH_OWNER",
    stack_parameters.CLUSTERS: "CROSSMESH_CLUSTER_ARNS",
    stack_parameters.ROLES: "CROSSMESH_CLUSTER_ROLE_ARNS",
}


class Ports(Mapping[str, Any]):
    """The adapters by the name of their port, each made when first asked for: a function pays only
    for what it uses.
    """

    def __init__(self, region: str, table: str, bucket: str) -> None:
        self._region, self._table, self._bucket = region, table, bucket
        self._made: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __getitem__(self, port: str) -> Any:
        with self._lock:  # calls made side by side ask for the same adapter at the same time
            if port not in self._made:
                self._made[port] = self._make(port)
            return self._made[port]

    def _make(self, port: str) -> Any:
        match port:
            case "Clock":
                from crossmesh.adapters.clock import SystemClock

                return SystemClock()
            case "Clusters":
                from crossmesh.adapters.kubernetes.clusters import KubernetesClusters

                return KubernetesClusters(self._region)
            case "Registry":
                from crossmesh.adapters.cloud_map import CloudMap

                return CloudMap(self._region)
            case "AppMeshApi":
                from crossmesh.adapters.app_mesh import AppMesh

                return AppMesh(self._region)
            case "State":
                from crossmesh.adapters.dynamodb import DynamoState

                return DynamoState(self._region, self._table)
            case "RunStore":
                from crossmesh.adapters.s3 import S3RunStore

                return S3RunStore(self._region, self._bucket)
            case "Snapshots":
                from crossmesh.adapters.snapshots import AmazonSnapshots

                return AmazonSnapshots(self._region, self._table, self._bucket)
        return _other_adapter(port, self._region)

    def __iter__(self) -> Any:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def _other_adapter(port: str, region: str) -> Any:
    """The adapters beside registry, mesh and clusters: canaries, metrics, executions."""
    match port:
        case "Front":
            from crossmesh.adapters.front import Front, resolver_at, system_resolve

            resolver, also = (os.environ.get(name, "") for name in ("CROSSMESH_RESOLVER", "CROSSMESH_FRONTS_ALSO_IN"))
            return Front(resolver_at(resolver) if resolver else system_resolve, also=also.split(",") if also else ())
        case "Instances" | "Balancers" | "Networks":
            return _along_the_path(port, region)
        case "Telemetry":
            from crossmesh.telemetry import EmbeddedMetrics

            return EmbeddedMetrics(os.environ.get("CROSSMESH_DEPLOYMENT", "").rpartition("/")[2])
        case "Executions":
            from crossmesh.adapters.stepfunctions import StepFunctions

            return StepFunctions(region)
    raise KeyError(port)


def _along_the_path(port: str, region: str) -> Any:
    """The adapters that only a diagnosis asks."""
    match port:
        case "Instances":
            from crossmesh.adapters.instances import Instances

            return Instances()
        case "Balancers":
            from crossmesh.adapters.elb import ElasticLoadBalancing

            return ElasticLoadBalancing(region)
        case _:
            from crossmesh.adapters.ec2 import Ec2Networks

            return Ec2Networks(region)


@cache
def live_context() -> Context:
    """This function's context, from its environment and configuration layer. Raises ConfigError."""
    config = configuration.load(configuration.find_folder())
    assert config.settings is not None
    region = os.environ.get("AWS_REGION", config.settings.region)
    if config.settings.region != region:
        raise RefusedError(
            "WrongRegion", f"crossmesh.yaml says {config.settings.region}, this function runs in {region}"
        )
    deployed = os.environ.get("CROSSMESH_DEPLOYMENT", "")
    given = {name: os.environ[variable] for name, variable in PARAMETERS.items() if variable in os.environ}
    differ = stack_parameters.disagreements(config.settings, deployed.partition("/")[0], given)
    if differ:
        raise RefusedError("OtherParameters", f"{'; '.join(differ)}: run `crossmesh init` and deploy again")
    mode = os.environ.get("CROSSMESH_MODE", "apply")
    return Context(
        settings=config.settings,
        topology=config.topology,
        config=config.sha256,
        deployment=deployed,
        mode="observe" if mode == "observe" else "apply",
        version=__version__,
    )


def any_context() -> Context:
    """The same, empty where settings or manifests are refused: for a step that asks nothing of them
    and must tell just that.
    """
    try:
        return live_context()
    except (CrossmeshError, OSError):
        settings = Settings(owner="", region="", mesh=MeshSettings(manifests=ManifestSource()), clusters=())
        return Context(
            settings=settings, topology=Topology(), config="", deployment="", mode="observe", version=__version__
        )


@cache
def live_ports() -> Ports:
    """This function's adapters."""
    region = os.environ["AWS_REGION"]
    return Ports(region, os.environ.get("CROSSMESH_TABLE", ""), os.environ.get("CROSSMESH_BUCKET", ""))


_LOGGED = 300  # characters of one text in a log event: what a state carries is not logged


def shortened(value: Any) -> Any:
    """An answer as it is logged: long texts are cut."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shortened(item) for item in value]
    return f"{value[:_LOGGED]}… ({len(value)} characters)" if isinstance(value, str) and len(value) > _LOGGED else value


def entrypoint(task: Task[Q, A]) -> Callable[[dict[str, Any], Any], Any]:
    """A Lambda handler for a step: decode the event, run the step on live ports, encode the
    answer.
    """
    from crossmesh.telemetry import event as log
    from crossmesh.telemetry import logger

    def handler(event: dict[str, Any], context: Any) -> Any:
        # First: a wrong event is refused before anything is asked of the world
        asked = msgspec.convert(event, task.request)
        logger.set_correlation_id(str(getattr(getattr(asked, "run", asked), "id", "")))
        known = any_context() if task.unconfigured else live_context()
        answered = msgspec.to_builtins(drive(manifests.with_active_manifests(task, asked, known), live_ports()))
        log(f"{task.name}.done", answer=shortened(answered), function=getattr(context, "function_name", ""))
        return answered

    return handler
