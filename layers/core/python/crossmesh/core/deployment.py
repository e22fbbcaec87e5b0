"""The template's parameters that crossmesh.yaml implies: what `crossmesh init` writes, and what a deployed function refuses to differ from."""

from collections.abc import Mapping

from crossmesh.core.settings import Settings

OWNER, CLUSTERS, ROLES, PORTS = "Owner", "EksClusterArns", "ClusterRoleArns", "SecurityGroups"


def parameters(settings: Settings, account: str, partition: str = "aws") -> dict[str, str]:
    """Parameter -> value. `account` is where crossmesh is deployed; clusters of other accounts come by their roles alone."""
    own = sorted(f"arn:{partition}:eks:{c.region}:{account}:cluster/{c.eks}" for c in settings.clusters if not c.role_arn)
    roles = sorted({c.role_arn for c in settings.clusters if c.role_arn})
    return {OWNER: settings.owner, CLUSTERS: ",".join(own), ROLES: ",".join(roles), PORTS: settings.security_groups}


def disagreements(settings: Settings, account: str, given: Mapping[str, str]) -> tuple[str, ...]:
    """Where the parameters a stack was deployed with say something else than crossmesh.yaml; a parameter that is not in `given` is not judged."""
    found = []
    partition = given.get(CLUSTERS, "").partition(":")[2].partition(":")[0] or "aws"
    for name, wanted in parameters(settings, account, partition).items():
        if name in given and _listed(given[name]) != _listed(wanted):
            found.append(f"parameter {name} is {given[name] or 'empty'}, crossmesh.yaml means {wanted or 'none'}")
    return tuple(found)


def _listed(value: str) -> list[str]:
    return sorted(part.strip() for part in value.split(",") if part.strip())
