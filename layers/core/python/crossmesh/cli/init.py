"""`crossmesh init`: crossmesh.yaml where there is none, the template's parameters from it in samconfig.toml, and the commands that clusters need.

Nothing is changed on AWS: it is only asked, and with --offline not even that.
"""

import argparse
from pathlib import Path
from typing import Any

from crossmesh import configuration
from crossmesh.adapters import aws
from crossmesh.cli import samconfig, stack
from crossmesh.cli.printing import console, print_json
from crossmesh.core import deployment
from crossmesh.core.settings import ClusterSettings, Settings
from crossmesh.core.topology import Topology
from crossmesh.errors import CrossmeshError, RefusedError, ServiceGone

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
    """0 = written, 3 = written, and a person must do something before it can work (it is said what)."""
    folder, region = Path(arguments.config), stack.own_region()
    if not (folder / configuration.FILE).is_file():
        return _skeleton(arguments, folder, region)
    config = configuration.load(folder)
    assert config.settings is not None
    settings, text = config.settings, samconfig.read(Path())
    before = samconfig.overrides(text, arguments.environment)
    account = arguments.account or ("" if arguments.offline else _account(settings.region)) or _account_of(before)
    if not account:
        raise RefusedError("NoAccount", "offline, the account to deploy into must be given: --account ID")
    wanted = deployment.parameters(settings, account)
    todo: list[str] = []
    if not arguments.offline:
        asked, todo = _asked(settings, config.topology)
        wanted |= asked
    Path(samconfig.FILE).write_text(samconfig.changed(text or "version = 0.1\n", arguments.environment, wanted))
    roles = _roles(arguments, settings.region) if not arguments.offline else []
    commands = [line for cluster in settings.clusters for line in access(cluster, roles, account)]
    if arguments.json:
        print_json({"parameters": wanted, "commands": commands, "todo": todo})
    else:
        out = console()
        for name, value in wanted.items():
            out.print(
                f"{name}={value}" if before.get(name, "") == value else f"{name}={value}  (was {before.get(name) or 'empty'})", highlight=False
            )
        out.print(
            f"written to {samconfig.FILE}, [{arguments.environment}.deploy.parameters]\n\nFor each cluster:", highlight=False, markup=False
        )
        for line in commands:
            out.print(f"  {line}", highlight=False, markup=False)
        for line in todo:
            out.print(f"! {line}", style="yellow", highlight=False, markup=False)
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
        console().print(f"{file} written (backend: {backend}: {reason}). Edit it, put manifests into {folder / 'mesh'}, then: crossmesh init")
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


def _account(region: str) -> str:
    with aws.translated():
        return str(aws.client("sts", region).get_caller_identity()["Account"])


def _account_of(before: dict[str, str]) -> str:
    arns = before.get(deployment.CLUSTERS, "").split(",")[0].split(":")
    return arns[4] if len(arns) > 4 else ""


def _asked(settings: Settings, topology: Topology) -> tuple[dict[str, str], list[str]]:
    """What AWS knows: namespaces with their zones, the VPC of private clusters; and what is missing there."""
    found: dict[str, str] = {}
    todo: list[str] = []
    if settings.mesh.backend == "appmesh" and (gone := _mesh_gone(settings.region)):
        todo.append(f"mesh.backend is appmesh, but {gone}: set it to none")
    namespaces, missing = _namespaces(settings.region, {node.cloud_map.namespace for node in topology.nodes if node.cloud_map})
    found |= namespaces
    todo += [
        f"no Cloud Map namespace {name}: aws servicediscovery create-private-dns-namespace --name {name} --vpc VPC --region {settings.region}"
        for name in missing
    ]
    for cluster in settings.clusters:
        if cluster.role_arn:
            continue
        try:
            with aws.translated():
                network = aws.client("eks", cluster.region).describe_cluster(name=cluster.eks)["cluster"]["resourcesVpcConfig"]
        except CrossmeshError as error:
            todo.append(f"cluster {cluster.name}: {error}")
            continue
        if not network["endpointPublicAccess"]:  # one VPC for all functions: clusters of another one must be peered with it
            found.setdefault("VpcSubnetIds", ",".join(network["subnetIds"]))
            found.setdefault("VpcSecurityGroupIds", network["clusterSecurityGroupId"])
    return found, todo


def _namespaces(region: str, names: set[str]) -> tuple[dict[str, str], list[str]]:
    if not names:
        return {}, []
    with aws.translated():
        pages = aws.client("servicediscovery", region).get_paginator("list_namespaces").paginate()
        there: dict[str, Any] = {one["Name"]: one for page in pages for one in page["Namespaces"] if one["Name"] in names}
    zones = [one.get("Properties", {}).get("DnsProperties", {}).get("HostedZoneId", "") for one in there.values()]
    found = {
        "NamespaceArns": ",".join(sorted(one["Arn"] for one in there.values())),
        "HostedZoneArns": ",".join(sorted(f"arn:aws:route53:::hostedzone/{zone}" for zone in zones if zone)),
    }
    return found, sorted(names - there.keys())


def _roles(arguments: argparse.Namespace, region: str) -> list[str]:
    """The deployed functions' roles; none before the first deployment."""
    try:
        return stack.found(arguments, region)["ReaderRoleArns"].split(",")
    except RefusedError:
        return []


def access(cluster: ClusterSettings, roles: list[str], account: str) -> list[str]:
    """The commands that let crossmesh read a cluster; in another account its role first, to which the access entry is then given."""
    where = f"--region {cluster.region}"
    lines = [f"kubectl --context {cluster.name} apply -f clusters/reader.yaml"]
    principals = roles or ["ROLE (each of the output ReaderRoleArns, after the first deployment)"]
    if cluster.role_arn:
        name, owner = cluster.role_arn.rpartition("/")[2], cluster.role_arn.split(":")[4]
        lines.append(
            f"aws cloudformation deploy --stack-name {name} --template-file clusters/role.yaml --capabilities CAPABILITY_NAMED_IAM {where} "
            f"--parameter-overrides RoleName={name} ClusterName={cluster.eks} ReaderRoleArns={','.join(roles) or 'ROLES'} "
            f"ExternalId={cluster.external_id or 'SECRET'}   # with credentials of account {owner}, trusted from {account}"
        )
        principals = [cluster.role_arn]
    entry = f"aws eks create-access-entry --cluster-name {cluster.eks} {where} --kubernetes-groups crossmesh:readers --principal-arn"
    return [*lines, *(f"{entry} {principal}" for principal in principals)]
