"""What guards hold back until a person acts, as findings: each with its own fix. What goes ahead by
itself is none. Pure.
"""

from collections.abc import Iterable, Iterator
from typing import get_args

from crossmesh.core.diagnosis.doctor import Recommendation
from crossmesh.core.mesh.backend import MeshSummary
from crossmesh.core.observed import RegistryView, Unseen, View
from crossmesh.core.registry.namespaces import CREATE
from crossmesh.core.registry.plan import RegistryPlan, Withheld, WithheldWhy

# They end by themselves, are what the settings ask for, or follow from what is told elsewhere: an
# unseen cluster, an add that is withheld.
NO_FINDING: frozenset[WithheldWhy] = frozenset({"unconfirmed", "churn", "policy", "unseen", "waits"})
FIXES: dict[WithheldWhy, str] = {
    "orphaned": "`crossmesh forget CLUSTER` removes them; or put the cluster back into crossmesh.yaml",
    "claimed": (
        "give each pod to one virtual node: correct one of the podSelectors, or `nodes` of the"
        " cluster in crossmesh.yaml"
    ),
    "conflict": (
        "give each deployment an owner of its own, or delete one of them; `crossmesh resume"
        " SERVICE` at the one that is meant"
    ),
    "competing-writer": (
        "find who removes them (CloudTrail: DeregisterInstance), stop it, then `crossmesh resume SERVICE`"
    ),
    "namespace-missing": CREATE,
    "namespace-ambiguous": (
        "say which one is meant: `mesh.namespaces` in crossmesh.yaml (docs/how-to/choose-a-namespace.md)"
    ),
    "namespace-shared": (
        "to use it, name its ARN in `mesh.namespaces` in crossmesh.yaml (docs/how-to/choose-a-namespace.md)"
    ),
    "name-case": "write serviceName as Cloud Map has it, or choose another name",
    "unreadable": "allow the functions' roles to read it (docs/reference/iam.md)",
    "service-full": "give the virtual node a service of its own, or run fewer pods: Cloud Map's limit is fixed",
    "foreign-id": "find out who registered that instance, and deregister it",
    "controller": (
        "take that controller's write rights away and set `controller: injector-only` (docs/how-to/take-over.md)"
    ),
    "address-taken": "deregister the instance that holds the address; `crossmesh adopt` if AWS's controller left it",
    "implausible": "look at the cluster's API, or name its networks in `pod_cidrs` (docs/explanation/security.md)",
    "records": "give that virtual node a Cloud Map service of its own, or a listener",
    "health-check": "make the Cloud Map service anew without HealthCheckConfig",
    "address-family": "give that virtual node a Cloud Map service of its own",
}
assert FIXES.keys() | NO_FINDING == set(get_args(WithheldWhy))
_SHOWN = 3


def withheld(
    plan: RegistryPlan, mesh: MeshSummary, registry: RegistryView, views: Iterable[View] = ()
) -> Iterator[Recommendation]:
    """One finding a service and reason, then one for each change of the mesh."""
    problems = {service.key: service.problem for service in registry.services if service.problem is not None}
    unknown = [view.cluster for view in views if isinstance(view, Unseen) and view.cause == "not-found"]
    groups: dict[tuple[str, WithheldWhy, str], list[Withheld]] = {}
    for held in plan.withheld:
        if held.why not in NO_FINDING:
            groups.setdefault((held.service, held.why, held.cluster if held.why == "orphaned" else ""), []).append(held)
    for (service, why, cluster), found in groups.items():
        problem = problems.get(service)
        fix = problem.fix if problem is not None and problem.why == why else FIXES[why]
        if why == "orphaned" and unknown:
            fix = (
                f"correct crossmesh.yaml first: EKS knows no cluster {', '.join(unknown)}, which may be"
                f" {cluster}, mistyped"
            )
        yield Recommendation(
            part="setup",
            subject=f"withheld:{service}:{why}{f':{cluster}' if cluster else ''}",
            what=f"withheld until somebody acts: {why}: {_counted(service, found)}",
            evidence=tuple(dict.fromkeys(held.detail for held in found))[:_SHOWN],
            fix=fix.replace("SERVICE", service or "SERVICE").replace("CLUSTER", cluster or "CLUSTER"),
        )
    for kept in mesh.withheld:
        what = f"withheld until somebody acts: {kept.target}"
        yield Recommendation(
            part="setup", subject=f"withheld:{kept.target}", what=what, evidence=(kept.detail,), fix=kept.fix
        )


def _counted(service: str, found: list[Withheld]) -> str:
    """What is held back, in numbers."""
    pods = sum(1 for held in found if held.what == "register")
    instances = sum(1 for held in found if held.what == "deregister")
    parts = [f"{pods} {'pod is' if pods == 1 else 'pods are'} not registered"] if pods else []
    parts += [f"{instances} {'instance is' if instances == 1 else 'instances are'} not removed"] if instances else []
    return f"{' and '.join(parts) or 'nothing is done'}{f' in {service}' if service else ''}"
