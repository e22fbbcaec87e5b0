"""Backend groups: the services that a node gets as backends because a group names them
(pkg/virtualnode/resource_manager.go of AWS's controller).

Each once, without a client policy, and not where the node's own backends have it by reference. The
controller adds them in no order; here they follow the manifest: groups as the node names them,
services as the group does, all services of a namespace (`*`) by name.
"""

from collections.abc import Iterator

from crossmesh.core.compiler.findings import Findings
from crossmesh.core.compiler.references import Resolver, aws_name
from crossmesh.core.documents import Document
from crossmesh.core.topology import Topology

ALL = "*"


def grouped_services(node: Document, resolver: Resolver) -> list[str]:
    """The AWS names of the services that the node's groups add to its backends."""
    groups = node.spec.get("backendGroups", ())
    if not groups:
        return []
    taken = set()
    for backend in node.spec.get("backends", ()):
        ref = backend.get("virtualService", {}).get("virtualServiceRef")
        if ref is not None:
            taken.add((ref.get("namespace") or node.namespace, ref.get("name", "")))
    added: list[str] = []
    for index, group in enumerate(groups):
        if "name" in group:
            for namespace, name in _members(node, group, f"spec.backendGroups[{index}]", resolver):
                if (namespace, name) not in taken:
                    taken.add((namespace, name))
                    target = resolver.find(node, "VirtualService", namespace, name, f"spec.backendGroups[{index}].name")
                    added += [aws_name(target)] if target is not None else []
    return added


def check_groups(topology: Topology, resolver: Resolver, findings: Findings) -> None:
    """Report members that no document declares in groups that no node uses: those of used ones are
    errors of the nodes.
    """
    used = {
        (ref.get("namespace") or node.namespace, ref.get("name", ""))
        for node in topology.nodes
        for ref in node.spec.get("backendGroups", ())
    }
    for group in topology.backend_groups:
        if (group.namespace, group.name) in used:
            continue
        document = resolver.documents["BackendGroup", group.namespace, group.name]
        for index, member in enumerate(group.spec.get("virtualservices", ())):
            space, name = member.get("namespace") or group.namespace, member.get("name", "")
            if name and ("VirtualService", space, name) not in resolver.documents:
                message = f"BackendGroup {group.key} names VirtualService {space}/{name}, which no document declares"
                findings.warning(
                    document,
                    f"spec.virtualservices[{index}].name",
                    "missing-reference",
                    message,
                    "declare it, or leave it out",
                )


def _members(node: Document, group: dict[str, str], field: str, resolver: Resolver) -> Iterator[tuple[str, str]]:
    """(namespace, name) of a group's services. One without a namespace is looked for in the node's,
    not the group's.
    """
    namespace = group.get("namespace") or node.namespace
    if group["name"] == ALL:
        yield from sorted(
            (space, name) for kind, space, name in resolver.documents if kind == "VirtualService" and space == namespace
        )
        return
    document = resolver.find(node, "BackendGroup", namespace, group["name"], f"{field}.name")
    for member in document.spec.get("virtualservices", ()) if document is not None else ():
        if "name" in member:
            yield member.get("namespace") or node.namespace, member["name"]
