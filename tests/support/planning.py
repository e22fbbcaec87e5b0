"""Plans of one Cloud Map service over two clusters, for the tests of the planner's rules."""

import msgspec
from crossmesh.core.observed import Instance, Outlier, Pod, RegistryView, Seen, ServiceView, View
from crossmesh.core.registry.plan import ManualOverrides, PlannerState, Register, RegistryPlan
from crossmesh.core.registry.planner import PlanInputs, deployment_tag, plan
from crossmesh.usecases.context import Context

from tests.support.builders import NAMESPACE, context

DEPLOYMENT = "1/us-east-1/crossmesh"


def seen(cluster: str, *pods: Pod, begun: float = 100.0, gone: tuple[str, ...] = (), identity: str = "", **more: object) -> Seen:
    return Seen(
        cluster=cluster,
        identity=identity or f"uid-{cluster}",
        begun=begun,
        versions={"demo": 7},
        pods=pods,
        gone=gone,
        **more,  # type: ignore[arg-type]
    )


def service(*instances: Instance, exists: bool = True, **kwargs: object) -> ServiceView:
    base = ServiceView(
        namespace=NAMESPACE,
        service="color",
        namespace_id="ns-1",
        namespace_type="DNS_PRIVATE",
        id="srv-1" if exists else "",
        arn="arn:srv-1" if exists else "",
        tags={"crossmesh:owner": "prod", deployment_tag("prod"): DEPLOYMENT},
        instances=instances,
    )
    return msgspec.structs.replace(base, **kwargs)


def registered(cluster: str, of: Pod, version: str = "blue", **extra: str) -> Instance:
    """The instance that the planner itself would have registered for a pod."""
    alone = decide(context(), seen(cluster, of), seen("b" if cluster == "a" else "a"), registry=service())
    made = next(action for action in alone.actions if isinstance(action, Register))
    return Instance(id=made.id, attributes={**made.attributes, **extra})


def decide(
    where: Context,
    *views: View,
    registry: ServiceView | tuple[ServiceView, ...],
    memory: PlannerState | None = None,
    now: float = 100.0,
    operator: ManualOverrides | None = None,
    outliers: dict[str, Outlier] | None = None,
) -> RegistryPlan:
    return plan(
        PlanInputs(
            settings=where.settings,
            topology=where.topology,
            views=views,
            registry=RegistryView(begun=now, services=registry if isinstance(registry, tuple) else (registry,)),
            memory=memory or PlannerState(),
            operator=operator or ManualOverrides(),
            deployment=DEPLOYMENT,
            outliers=outliers or {},
        )
    )


def verbs(of: RegistryPlan) -> list[tuple[str, str]]:
    return [(type(a).__name__, getattr(a, "pod", a.service)) for a in of.actions]
