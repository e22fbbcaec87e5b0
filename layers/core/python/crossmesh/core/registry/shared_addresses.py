"""Cloud Map services whose records take no second instance with one address: what stands for a pod
there, and what must leave first. Pure.

AWS does not say whether two instances of one service may share an address in A or AAAA records;
hashicorp/consul-aws#20 reports that they may not. So nothing is assumed: a service is known for it
(`Memory.unshared`) once it has refused an add whose address another of its instances held. From
then on an instance of AWS's controller is taken over under its own id, because neither way with two
ids would end: ours first is refused, theirs out first loses a live pod.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from crossmesh.core.observed import Instance, ServiceView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.adoption import pod_of
from crossmesh.core.registry.planning import IndexedInputs


def in_place(indexed: IndexedInputs, wanted: Sequence[ep.Endpoint]) -> tuple[ep.Endpoint, ...]:
    """The endpoints, under the ids by which their pods stand, or may be taken over, where no second
    instance with their address is taken.
    """
    if not indexed.memory.unshared:
        return tuple(wanted)
    standing = {key: _standing(indexed, key) for key in indexed.memory.unshared if key in indexed.services}
    claims = Counter((e.key, e.pod, e.address) for e in wanted if e.key in standing)
    found = []
    for endpoint in wanted:
        ids = standing.get(endpoint.key)
        if ids is not None and endpoint.id not in ids.known:
            place = endpoint.pod, endpoint.address
            other = ids.ours.get((endpoint.cluster, endpoint.uid)) or (
                ids.left.get(place) if claims[(endpoint.key, *place)] == 1 else None
            )
            endpoint = msgspec.structs.replace(endpoint, id=other) if other else endpoint
        found.append(endpoint)
    return tuple(sorted(found, key=lambda endpoint: endpoint.id))


class _Ids(msgspec.Struct, frozen=True, kw_only=True):
    """Ids in one service: all; ours by (cluster, uid); those that may be taken over by (pod,
    address).
    """

    known: frozenset[str]
    ours: dict[tuple[str, str], str]
    left: dict[tuple[str, str], str]


def _standing(indexed: IndexedInputs, key: str) -> _Ids:
    left = indexed.left.get(key, ()) if indexed.adopting else ()
    return _Ids(
        known=frozenset(i.id for i in indexed.services[key].instances),
        ours={(i.attributes.get(ep.CLUSTER, ""), i.attributes.get(ep.POD_UID, "")): i.id for i in indexed.ours[key]},
        left={(pod_of(i), ep.address_of(i)): i.id for i in left},
    )


def may_take_over(indexed: IndexedInputs, service: ServiceView, old: Instance, endpoint: ep.Endpoint) -> bool:
    """Whether an instance of AWS's controller is marked as ours where it stands."""
    if service.key not in indexed.memory.unshared or not indexed.adopting:
        return False
    return old in indexed.left.get(service.key, ()) and (pod_of(old), ep.address_of(old)) == (
        endpoint.pod,
        endpoint.address,
    )


def holders(service: ServiceView) -> dict[str, Instance]:
    """Address -> the instance that holds it, where the service has A or AAAA records."""
    if not {"A", "AAAA"} & set(service.records):
        return {}
    return {address: i for i in service.instances if (address := ep.address_of(i))}
