"""Virtual nodes whose documents name another place in Cloud Map than the one where their instances
stand. Pure.

Rule 5 holds for the mesh, too: it goes on asking the old place until the new one holds an instance.
"""

from collections.abc import Iterable, Mapping, Sequence

from crossmesh.core.observed import Instance
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.topology import VirtualNode


def moving(nodes: Iterable[VirtualNode], ours: Mapping[str, Sequence[Instance]]) -> tuple[str, ...]:
    """AWS names of the virtual nodes that have instances of ours somewhere, and none that their
    documents' discovery finds. `ours`: by service key.
    """
    declared = {
        node.aws_name: (node.cloud_map.key, dict(node.cloud_map.attributes).items())
        for node in nodes
        if node.cloud_map is not None
    }
    standing, found = set[str](), set[str]()
    for key, instances in ours.items():
        for instance in instances:
            name = instance.attributes.get(ep.VIRTUAL_NODE, "")
            if name not in declared:
                continue
            standing.add(name)
            place, attributes = declared[name]
            if place == key and attributes <= instance.attributes.items():
                found.add(name)
    return tuple(sorted(standing - found))
