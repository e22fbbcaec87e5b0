"""The template's parameters that crossmesh.yaml implies: what `crossmesh init` writes, and what a
deployed function refuses to differ from.
"""

from collections.abc import Mapping

from crossmesh.core.settings import Settings

OWNER, CLUSTERS, ROLES, PORTS = "Owner", "EksClusterArns", "ClusterRoleArns", "SecurityGroups"


def parameters(settings: Settings, account: str, partition: str = "aws") -> dict[str, str]:
    """Parameter -> value. `account` is where crossmesh is deployed; clusters of other accounts come
    by their roles alone.
    """
    own = sorted(
        f"arn:{partition}:eks:{c.region}:{account}:cluster/{c.eks}" for c in settings.clusters if not c.role_arn
    )
    roles = sorted({c.role_arn for c in settings.clusters if c.role_arn})
    return {OWNER: settings.owner, CLUSTERS: ",".join(own), ROLES: ",".join(roles), PORTS: settings.security_groups}


LIST = 4_096  # characters of a parameter's value (CloudFormation's quotas)
# Bytes of both lists of clusters in a function's environment: it takes 4 KB, and the rest needs the
# others
LISTS = 3_400
STACK_NAME = 70  # characters: names of state machines are made of it, and take 80


def too_long(values: Mapping[str, str], stack: str) -> tuple[str, ...]:
    """Why AWS will refuse the parameters or the stack's name: limits that a deployment meets late,
    or only in its functions.
    """
    found = [
        f"{name} has {len(value)} characters, CloudFormation takes {LIST}"
        for name, value in values.items()
        if len(value) > LIST
    ]
    lists = sum(len(values.get(name, "").encode()) for name in (CLUSTERS, ROLES))
    if lists > LISTS:
        found.append(
            f"{CLUSTERS} and {ROLES} have {lists} bytes, the functions' environment has room for {LISTS}: split the"
            " clusters over two stacks"
        )
    if len(stack) > STACK_NAME:
        found.append(
            f"the stack name {stack!r} has {len(stack)} characters, its state machines leave room for {STACK_NAME}"
        )
    return tuple(found)


def disagreements(settings: Settings, account: str, given: Mapping[str, str]) -> tuple[str, ...]:
    """Where the parameters a stack was deployed with say something else than crossmesh.yaml; a
    parameter that is not in `given` is not judged.
    """
    found = []
    partition = given.get(CLUSTERS, "").partition(":")[2].partition(":")[0] or "aws"
    for name, wanted in parameters(settings, account, partition).items():
        if name in given and _listed(given[name]) != _listed(wanted):
            found.append(f"parameter {name} is {given[name] or 'empty'}, crossmesh.yaml means {wanted or 'none'}")
    return tuple(found)


def _listed(value: str) -> list[str]:
    return sorted(part.strip() for part in value.split(",") if part.strip())
