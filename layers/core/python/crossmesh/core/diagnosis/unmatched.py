"""Why a virtual node on the way has no pod, from all that a diagnosis has read. Pure."""

from crossmesh.core.diagnosis.facts import Facts
from crossmesh.core.registry.unmatched import Known, Unmatched, explain_unmatched, held_for
from crossmesh.core.topology import VirtualNode


def nobody_of(facts: Facts, node: VirtualNode) -> Unmatched | None:
    """Why no seen cluster has a ready pod of it; None where one has."""
    known = Known(
        others=facts.topology.nodes,
        held=held_for(node.aws_name, facts.registry) if facts.registry else (),
        deployments={cluster: work.deployments for cluster, work in facts.workloads.items()},
    )
    return explain_unmatched(node, facts.clusters, facts.views, known)
