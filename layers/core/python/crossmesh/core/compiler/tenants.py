"""Which Kubernetes namespace a Cloud Map service or an App Mesh name belongs to. Pure.

Everybody who may write custom resources in one namespace could otherwise register pods in another
team's service, or take its name.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from crossmesh.core.documents import Finding, SourceLocation
from crossmesh.core.settings import ManifestSource
from crossmesh.core.topology import Resource, Topology, VirtualNode

# The settings say whose it is: no document keeps it because it was there before
FOREIGN = ("foreign-service", "foreign-name")
_SERVICE, _NAME = "spec.serviceDiscovery.awsCloudMap.serviceName", "spec.awsName"


def check(topology: Topology, source: ManifestSource) -> tuple[Finding, ...]:
    """What belongs to another namespace by the settings, and services that several namespaces share
    without a word in the settings.

    Files come from one repository, whose reviewers decide: there an undeclared share is a warning.
    Live documents come from everybody.
    """
    level: Literal["error", "warning"] = "error" if source.clusters else "warning"
    owners, names = _by_name(source.services), _by_name(source.names)
    found = [*_named(topology, names)]
    shared: dict[str, list[VirtualNode]] = {}
    for node in topology.nodes:
        if node.cloud_map is None:
            continue
        key = node.cloud_map.key
        if key not in owners:
            shared.setdefault(key, []).append(node)
        elif node.namespace not in owners[key]:
            message = f"the Cloud Map service {key} belongs to {_and(owners[key])}, not to namespace {node.namespace}"
            found.append(
                _finding(
                    "error",
                    FOREIGN[0],
                    node,
                    _SERVICE,
                    message,
                    "add it to mesh.manifests.services, or use another service",
                )
            )
    for key, nodes in sorted(shared.items()):
        spaces = sorted({node.namespace for node in nodes})
        for node in nodes if len(spaces) > 1 else ():
            message = f"the Cloud Map service {key} is used by the namespaces {_and(spaces)}"
            written = f"'{key}'" if '"' in key else key
            fix = f"name those that may, in mesh.manifests.services: {node.namespace}: [{written}]"
            found.append(_finding(level, "shared-service", node, _SERVICE, message, fix))
    return tuple(found)


def _named(topology: Topology, names: Mapping[str, Sequence[str]]) -> list[Finding]:
    found = []
    named: list[VirtualNode | Resource] = [
        *topology.nodes,
        *topology.services,
        *topology.routers,
        *topology.gateways,
        *topology.gateway_routes,
    ]
    for one in named if names else ():
        owners = names.get(one.aws_name)
        if owners is not None and one.namespace not in owners:
            message = f"the AWS name {one.aws_name} belongs to {_and(owners)}, not to namespace {one.namespace}"
            found.append(
                _finding(
                    "error",
                    FOREIGN[1],
                    one,
                    _NAME,
                    message,
                    "add it to mesh.manifests.names, or choose another awsName",
                )
            )
    return found


def _by_name(owned: Sequence[tuple[str, tuple[str, ...]]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for namespace, names in owned:
        for name in names:
            found.setdefault(name, []).append(namespace)
    return found


def _and(names: Sequence[str]) -> str:
    shown = sorted(names)[:5]
    return " and ".join(shown) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _finding(
    level: Literal["error", "warning"], code: str, of: VirtualNode | Resource, field: str, message: str, fix: str
) -> Finding:
    place = SourceLocation(file=of.place.file, line=of.place.line, document=of.place.document, field=field)
    return Finding(level=level, code=code, place=place, message=message, fix=fix)
