"""`crossmesh init`: crossmesh.yaml where there is none, the template's parameters from it in
samconfig.toml, and the commands that clusters need.

Nothing is changed on AWS: it is only asked, and with --offline not even that.
"""

import argparse
import shlex
from pathlib import Path

from crossmesh import configuration
from crossmesh.adapters import aws
from crossmesh.adapters.cloud_map import Namespaces
from crossmesh.cli import account as account_of_aws
from crossmesh.cli import samconfig, stack, target
from crossmesh.cli.printing import console, print_json
from crossmesh.core import stack_parameters
from crossmesh.core.diagnosis import preconditions
from crossmesh.core.mesh.backends import backend_of
from crossmesh.core.observed import Problem
from crossmesh.core.registry.namespaces import Namespace
from crossmesh.core.settings import ClusterSettings, Settings
from crossmesh.core.topology import Topology
from crossmesh.errors import CrossmeshError, RefusedError, ServiceGone, UsageError

NO_ZONE = "none"  # the parameter HostedZoneArns where no namespace has a zone
ENDED = "AWS ended App Mesh on 2026-09-30"
SKELETON = """\
# crossmesh.yaml: `crossmesh schema` prints what may stand here, `crossmesh validate` tells every mistake.
owner: {owner}                                 # who we are in shared registries; unique per deployment
region: {region}
mesh:
  manifests: {{files: [mesh/*.yaml]}}             # App Mesh v1beta2 documents, beside this file
  backend: {backend:<31}# {reason}
clusters:                                       # any number; roleArn and externalId for one in another account
  my-cluster: {{}}
policy: {{removals: sync, confirm_above: 15%, confirm_after: 20s}}
security_groups: check                          # none | check | open
"""


def run(arguments: argparse.Namespace) -> int:
    """0 = written, 3 = written, and a person must do something before it can work (it is said
    what).
    """
    folder, place = target.folder(arguments), target.resolve(arguments)
    environment = place.environment or "default"
    if not (folder / configuration.FILE).is_file():
        return _skeleton(arguments, folder, place.region)
    config = configuration.load(folder)
    assert config.settings is not None
    settings, text = config.settings, samconfig.read(Path())
    before = samconfig.overrides(text, environment)
    account = arguments.account or ("" if arguments.offline else _account(settings.region)) or _account_of(before)
    if not account:
        raise UsageError("NoAccount", "offline, the account to deploy into must be given: --account ID")
    wanted = stack_parameters.parameters(settings, account, aws.partition(settings.region))
    todo = [f"{one.what}: {one.fix}" for one in preconditions.same_names(settings)]
    if not arguments.offline:
        asked, more = _asked(settings, config.topology, before, account)
        wanted |= asked
        todo += more
    if refused := stack_parameters.too_long(wanted, place.stack):
        raise RefusedError("TooLong", "; ".join(refused))
    Path(samconfig.FILE).write_text(samconfig.changed(text or "version = 0.1\n", environment, wanted))
    roles, other = _roles(place, settings.owner) if not arguments.offline else ([], "")
    todo += [other] if other else []
    commands = [line for cluster in settings.clusters for line in access(cluster, roles, account)]
    if arguments.json:
        print_json({"parameters": wanted, "commands": commands, "todo": todo})
    else:
        out = console()
        for name, value in wanted.items():
            out.print(
                f"{name}={value}"
                if before.get(name, "") == value
                else f"{name}={value}  (was {before.get(name) or 'empty'})"
            )
        out.print(f"written to {samconfig.FILE}, [{environment}.deploy.parameters]")
        out.print()
        out.print("For each cluster:")
        for line in commands:
            out.print(f"  {line}")
        if not settings.mesh.manifests.clusters:
            out.print(
                "Instead of clusters/reader.yaml, for rights in the mesh's namespaces alone: crossmesh access NAME |"
                " kubectl apply -f -"
            )
        for line in todo:
            out.print(f"! {line}", style="yellow")
    return 3 if todo else 0


def _skeleton(arguments: argparse.Namespace, folder: Path, region: str) -> int:
    gone = ENDED if arguments.offline else _mesh_gone(region)
    backend, reason = ("none", f"{gone}; registry, drift and canary work without") if gone else ("appmesh", "or none")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mesh").mkdir(exist_ok=True)
    file = folder / configuration.FILE
    file.write_text(SKELETON.format(owner="my-mesh", region=region, backend=backend, reason=reason))
    if arguments.json:
        print_json({"written": str(file), "backend": backend, "reason": reason})
    else:
        console().print(
            f"{file} written (backend: {backend}: {reason}). Edit it, put manifests into {folder / 'mesh'}, then:"
            " crossmesh init"
        )
    return 3


def _mesh_gone(region: str) -> str:
    """Why App Mesh's API cannot be used in a region; "" where it answers, be it with a refusal."""
    try:
        with aws.translated():
            aws.client("appmesh", region, attempts=1).list_meshes(limit=1)
    except ServiceGone:
        return f"{ENDED}, and its API does not answer in {region}"
    except CrossmeshError:
        return ""
    return ""


_PROBES = {"appmesh": _mesh_gone}  # by AWS service: why its API cannot be used, "" where it answers


def _account(region: str) -> str:
    with aws.translated():
        return str(aws.client("sts", region).get_caller_identity()["Account"])


def _account_of(before: dict[str, str]) -> str:
    arns = before.get(stack_parameters.CLUSTERS, "").split(",")[0].split(":")
    return arns[4] if len(arns) > 4 else ""


def _asked(
    settings: Settings, topology: Topology, before: dict[str, str], account: str
) -> tuple[dict[str, str], list[str]]:
    """What AWS knows: namespaces with their zones, the VPC of private clusters, the groups to open;
    and what is missing there.

    Subnets that a person chose stay.
    """
    found: dict[str, str] = {}
    todo: list[str] = []
    backend = backend_of(settings)
    probe = _PROBES.get(backend.service)
    if probe is not None and (gone := probe(settings.region)):
        todo.append(f"mesh.backend is {backend.name}, but {gone}: set it to none")
    namespaces, missing = _namespaces(settings, {node.cloud_map.namespace for node in topology.nodes if node.cloud_map})
    found |= namespaces
    todo += missing
    own = chosen(before)
    facts = account_of_aws.read(settings, [one for one in own.get("VpcSubnetIds", "").split(",") if one])
    found |= own or preconditions.network(facts)
    partition = aws.partition(settings.region)
    if settings.security_groups == "open":
        found["SecurityGroupArns"] = preconditions.groups_of(
            settings, facts, account, partition, before.get("SecurityGroupArns", "")
        )
    elif before.get("SecurityGroupArns"):
        found["SecurityGroupArns"] = ""
    todo += facts.unread
    todo += [f"{one.what}: {one.fix}" for one in preconditions.missing(settings, facts, {**before, **found})]
    return found, todo


def chosen(before: dict[str, str]) -> dict[str, str]:
    """The subnets and security groups that are written already, by a person or an earlier init; {}
    where there are none.
    """
    return {name: value for name in ("VpcSubnetIds", "VpcSecurityGroupIds") if (value := before.get(name, ""))}


def _namespaces(settings: Settings, names: set[str]) -> tuple[dict[str, str], list[str]]:
    """The namespaces that manifests name, as parameters; and what a person must do where a name
    tells none.
    """
    if not names:
        return {"HostedZoneArns": NO_ZONE}, []
    with aws.translated():
        spaces = Namespaces(aws.client("servicediscovery", settings.region), dict(settings.mesh.namespaces))
        answers = {name: spaces.named(name) for name in sorted(names)}
    there = [answer for answer in answers.values() if isinstance(answer, Namespace)]
    partition = aws.partition(settings.region)
    found = {
        "NamespaceArns": ",".join(sorted(one.arn for one in there)),
        "HostedZoneArns": (
            ",".join(sorted(f"arn:{partition}:route53:::hostedzone/{one.zone}" for one in there if one.zone)) or NO_ZONE
        ),
    }
    create = "aws servicediscovery create-private-dns-namespace --name {} --vpc VPC --region " + settings.region
    missing = [(name, answer) for name, answer in answers.items() if isinstance(answer, Problem)]
    return found, [
        f"no Cloud Map namespace {name}: {create.format(name)}" if answer.why == "namespace-missing" else answer.text
        for name, answer in missing
    ]


def _roles(place: target.Place, owner: str) -> tuple[list[str], str]:
    """The deployed functions' roles; none before the first deployment. And what is wrong where the
    stack is another owner's: its roles get no access here.
    """
    try:
        outputs = {one["OutputKey"]: str(one["OutputValue"]) for one in stack.describe(place).get("Outputs", ())}
    except RefusedError:
        return [], ""
    if (other := outputs.get("OwnerMark", owner)) != owner:
        return (
            [],
            (
                f"stack {place.stack} in {place.region} is of owner {other!r}, not {owner!r}: name your own with"
                f" stack_name in {samconfig.FILE}, or --stack"
            ),
        )
    return outputs["ReaderRoleArns"].split(",") if outputs.get("ReaderRoleArns") else [], ""


def access(cluster: ClusterSettings, roles: list[str], account: str) -> list[str]:
    """The commands that let crossmesh read a cluster, each ready for a shell; in another account
    its role first, which then gets the access entry.
    """
    where = ["--region", cluster.region]
    lines = [shlex.join(["kubectl", "--context", cluster.name, "apply", "-f", "clusters/reader.yaml"])]
    principals, after = (
        roles or ["ROLE"],
        "" if roles else "   # each of the output ReaderRoleArns, after the first deployment",
    )
    if cluster.role_arn:
        name, owner = cluster.role_arn.rpartition("/")[2], cluster.role_arn.split(":")[4]
        made = ["aws", "cloudformation", "deploy", "--stack-name", name, "--template-file", "clusters/role.yaml"]
        made += [
            "--capabilities",
            "CAPABILITY_NAMED_IAM",
            *where,
            "--parameter-overrides",
            f"RoleName={name}",
            f"ClusterName={cluster.eks}",
        ]
        made += [f"ReaderRoleArns={','.join(roles) or 'ROLES'}", f"ExternalId={cluster.external_id or 'SECRET'}"]
        lines.append(f"{shlex.join(made)}   # with credentials of account {owner}, trusted from {account}")
        principals, after = [cluster.role_arn], ""
    entry = [
        "aws",
        "eks",
        "create-access-entry",
        "--cluster-name",
        cluster.eks,
        *where,
        "--kubernetes-groups",
        "crossmesh:readers",
        "--principal-arn",
    ]
    return [*lines, *(shlex.join([*entry, principal]) + after for principal in principals)]
