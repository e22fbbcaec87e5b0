"""Whether a change that CloudTrail tells of concerns us, decided from what the last look found,
before anything is read anew.

Cloud Map is shared: other tools may register hundreds of instances a minute in services of their
own. Only what cannot be ours is left out; whatever is not understood counts as ours. A change that
is left out wrongly costs one period of the schedule.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from crossmesh.core.observed import RegistryView
from crossmesh.core.topology import Topology

Whose = Literal["ours", "unknown", "foreign"]


class Concerns(msgspec.Struct, frozen=True, kw_only=True):
    """What our services and meshes are known by. `services` and `spaces` hold ids and names;
    `missing`: a service of ours had no id yet.
    """

    services: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()
    meshes: tuple[str, ...] = ()
    missing: bool = False


def concerns(registry: RegistryView, topology: Topology, *, mesh: bool) -> Concerns:
    """What concerns a deployment whose look found this. `mesh`: whether its mesh is kept through
    AWS calls.
    """
    found = registry.services
    return Concerns(
        services=_known(name for s in found for name in (s.id, s.service)),
        spaces=_known(name for s in found for name in (s.namespace_id, s.namespace)),
        meshes=tuple(sorted({one.aws_name for one in topology.meshes})) if mesh else (),
        missing=any(not service.id for service in found),
    )


def whose(detail: Mapping[str, Any], known: Concerns) -> Whose:
    """Whose the change is: `detail` of CloudTrail's event. `unknown`: of a service that may be the
    one of ours that was missing.
    """
    asked, event = detail.get("requestParameters"), str(detail.get("eventName", ""))
    if not isinstance(asked, dict):
        return "ours"
    if detail.get("eventSource") == "appmesh.amazonaws.com":
        return _among(asked.get("meshName"), known.meshes)
    if detail.get("eventSource") != "servicediscovery.amazonaws.com":
        return "ours"
    if "Namespace" in event:
        return _among(asked.get("name" if event.startswith("Create") else "id"), known.spaces)
    if event == "CreateService":
        return _among(asked.get("name"), known.services)
    found = _among(asked.get("serviceId") or asked.get("id"), known.services)
    return "unknown" if found == "foreign" and known.missing else found


def _among(name: object, known: Iterable[str]) -> Whose:
    """By an id, its ARN (as shared namespaces have it), or a name in any case: Cloud Map's DNS
    names are the same in each.
    """
    return "foreign" if isinstance(name, str) and name and _plain(name) not in known else "ours"


def _known(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({_plain(name) for name in names if name}))


def _plain(name: str) -> str:
    return name.rpartition("/")[2].casefold()
