"""Envoys of the user's own as a mesh backend: a plan is the next snapshot, whole. Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from crossmesh.core.documents import Document, Finding, SourceLocation
from crossmesh.core.mesh.backend import MeshChange, MeshDesired, MeshSummary, MeshTarget, WithheldChange
from crossmesh.core.mesh.xds import retained, snapshot
from crossmesh.core.mesh.xds.changes import bare, changes
from crossmesh.core.mesh.xds.endpoints import REGION, ZONE, Host, hosts
from crossmesh.core.mesh.xds.pointer import Pointer
from crossmesh.core.mesh.xds.render import Rendered, render
from crossmesh.core.mesh.xds.snapshot import Content, Publication, PublishedSnapshot, Unpublishable, following
from crossmesh.core.observed import Instance
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.settings import EnvoySettings
from crossmesh.core.topology import Resource, Topology, VirtualNode

_UNREADABLE = (
    "nothing is published until it can be read, and Envoys go on with what they have: check the rights of the"
    " functions' roles and the bucket's objects below snapshots/"
)
_UNPUBLISHABLE = (
    "Envoys go on with what they have; `crossmesh status` shows the endpoints; this is an error of crossmesh"
)
_KINDS = {"VirtualRouter": "virtualRouter", "VirtualNode": "virtualNode", "VirtualGateway": "virtualGateway"}
# What tells whose an instance is, and where
_MARKS = (ep.OWNER, ep.CLUSTER, ep.POD_UID, ep.POD, ep.NAMESPACE, ep.MESH, ep.VIRTUAL_NODE, REGION, ZONE)


class EnvoyView(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot in force, None = nothing was published yet; then `lineage` is a new one.
    `unavailable`: why it could not be read; `gone`: since when nobody answers.
    """

    before: PublishedSnapshot | None = None
    lineage: str = ""
    unavailable: str = ""
    gone: float = 0.0


class KeptView(msgspec.Struct, frozen=True, kw_only=True):
    """What a run keeps of a view: which snapshot it was. The bucket has its content."""

    pointer: Pointer | None = None
    unavailable: str = ""


class EnvoyPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot to publish, under epoch 0 until a run writes it; None = the one in force
    stands.
    """

    publication: Publication | None = None
    changes: tuple[MeshChange, ...] = ()
    withheld: tuple[WithheldChange, ...] = ()
    notes: tuple[str, ...] = ()
    unavailable: str = ""
    fix: str = ""
    gone: float = 0.0


class EnvoyBackend:
    """Implements `core.mesh.backend.MeshBackend`."""

    name = "envoy"
    about = "steers Envoys of your own by snapshots that their servers read (a preview)"
    keeps_mesh = True
    reads_endpoints = True
    before_registry = True
    service = ""
    most_endpoints = 0

    def unsupported(
        self, topology: Topology, documents: Iterable[Document], envoy: EnvoySettings | None = None
    ) -> tuple[Finding, ...]:
        """What own Envoys cannot be given, or only otherwise."""
        places = {document.place: document for document in documents}
        return tuple(_located(finding, places) for finding in render(topology, envoy or EnvoySettings()).findings)

    def render(self, topology: Topology, *, ip_family: str) -> tuple[object, ...]:
        """Every proxy. Files know no pods, so there are no endpoints."""
        return tuple(
            msgspec.to_builtins(proxy) for proxy in render(topology, EnvoySettings(), ip_family=ip_family).proxies
        )

    def in_force(self, view: EnvoyView) -> dict[str, tuple[Instance, ...]]:
        """The hosts of the snapshot in force."""
        if view.before is None:
            return {}
        return {
            key: tuple(
                Instance(id=host.id, attributes={**host.attributes, _family(host.address): host.address})
                for host in some
            )
            for key, some in view.before.hosts.items()
        }

    def kept(self, view: EnvoyView) -> KeptView:
        """Its pointer."""
        return KeptView(pointer=view.before.pointer if view.before else None, unavailable=view.unavailable)

    def plan(self, desired: MeshDesired, view: EnvoyView) -> EnvoyPlan:
        """The next snapshot, if it differs from the one in force."""
        if view.unavailable:
            return EnvoyPlan(unavailable=view.unavailable, fix=_UNREADABLE, gone=view.gone)
        if desired.endpoints is None:
            return EnvoyPlan(notes=("mesh: nothing is published, for this run did not decide which endpoints live",))
        before = view.before
        former = before.declared if before is not None else Topology()
        topology = desired.topology if desired.remove else retained.with_undeclared(desired.topology, former)
        found = _hosts(desired, topology, before)
        rendered = render(topology, desired.envoy, hosts=found, before=former)
        effective = bare(retained.as_rendered(topology, rendered.withheld, former))
        content = Content(
            rendered=rendered,
            hosts=found,
            allowed=snapshot.allowed(rendered.proxies, desired.clusters),
            topology=effective,
            reasons=snapshot.reasons(desired.endpoints),
        )
        withheld = _withheld(topology, rendered)
        try:
            made = following(content, before, lineage=view.lineage, epoch=before.pointer.epoch if before else 0)
        except Unpublishable as error:
            return EnvoyPlan(withheld=withheld, unavailable=str(error), fix=_UNPUBLISHABLE)
        if made is None:
            return EnvoyPlan(withheld=withheld)
        told = _changes(former, effective, before, rendered)
        if desired.conflict:
            waits = f"mesh: {len(told)} changes wait, for another deployment uses this owner"
            return EnvoyPlan(withheld=withheld, notes=(waits,))
        return EnvoyPlan(publication=made, changes=told, withheld=withheld)

    def summarize(self, plan: EnvoyPlan) -> MeshSummary:
        """One change for each resource that the snapshot changes."""
        return MeshSummary(
            changes=plan.changes,
            withheld=plan.withheld,
            notes=plan.notes,
            unavailable=plan.unavailable,
            fix=plan.fix,
            gone=plan.gone,
        )


def _located(finding: Finding, places: Mapping[SourceLocation, Document]) -> Finding:
    """The finding with the line of its field, where its document knows it."""
    document = places.get(msgspec.structs.replace(finding.place, field=""))
    return finding if document is None else msgspec.structs.replace(finding, place=document.at(finding.place.field))


def _family(address: str) -> str:
    return ep.IPV6 if ":" in address else ep.IPV4


def _hosts(desired: MeshDesired, topology: Topology, before: PublishedSnapshot | None) -> dict[str, list[Host]]:
    """The hosts as decided, with those attributes alone that somebody reads."""
    assert desired.endpoints is not None
    stay = {(one.service, one.id) for one in desired.endpoints.decided if one.fate == "must-stay"}
    published = before.hosts if before is not None else {}
    unhealthy = {
        (key, host.id)
        for key, some in published.items()
        for host in some
        if not host.healthy and (key, host.id) in stay
    }
    wanted: dict[str, set[str]] = {}
    for node in topology.nodes:
        if node.cloud_map is not None:
            wanted.setdefault(node.cloud_map.key, set()).update(name for name, _ in node.cloud_map.attributes)
    found = hosts(desired.endpoints, desired.endpoints.others, unhealthy)
    return {
        key: [
            msgspec.structs.replace(
                host,
                attributes={
                    name: value
                    for name, value in host.attributes.items()
                    if name in _MARKS or name in wanted.get(key, ())
                },
            )
            for host in some
        ]
        for key, some in found.items()
    }


def _withheld(topology: Topology, rendered: Rendered) -> tuple[WithheldChange, ...]:
    errors = [finding for finding in rendered.findings if finding.level == "error"]
    fields: dict[str, tuple[Resource | VirtualNode, ...]] = {
        "VirtualRouter": topology.routers,
        "VirtualNode": topology.nodes,
        "VirtualGateway": topology.gateways,
    }
    found = []
    for one in rendered.withheld:
        places = [held.place for held in fields[one.kind] if (held.mesh, held.aws_name) == (one.mesh, one.name)]
        if one.kind == "VirtualGateway":
            routes = topology.gateway_routes
            places += [route.place for route in routes if route.references.get("virtualGateway") == one.name]
        why = [error for error in errors if msgspec.structs.replace(error.place, field="") in places]
        found.append(
            WithheldChange(
                target=MeshTarget(mesh=one.mesh, kind=_KINDS[one.kind], name=one.name),
                detail="; ".join(error.message for error in why[:3]) or "it cannot be given to Envoys",
                fix=next((error.fix for error in why if error.fix), "") or "write it another way",
            )
        )
    return tuple(found)


def _changes(
    former: Topology, effective: Topology, before: PublishedSnapshot | None, rendered: Rendered
) -> tuple[MeshChange, ...]:
    """What the snapshot changes. Where that is none of the declarations and no endpoint, the
    proxies, or else the mesh.
    """
    serving = {name: snapshot.encoded(made) for sets in rendered.endpoints.values() for name, made in sets.items()}
    told = changes(former, effective, before.endpoints if before is not None else {}, serving)
    if told or before is None:
        return told or (_whole(effective, "declared and not published"),)
    differ = [proxy for proxy in rendered.proxies if _differs(proxy.id, rendered, before)]
    return tuple(
        MeshChange(
            action="update",
            target=MeshTarget(mesh=proxy.mesh, kind=_KINDS[proxy.kind], name=proxy.id.rpartition("/")[2]),
            detail="its Envoys are given another configuration",
            digest=snapshot.digest(snapshot.encoded(proxy))[:16],
        )
        for proxy in differ
    ) or (_whole(effective, "the snapshot says something else of its pods, or of who may ask"),)


def _whole(effective: Topology, detail: str) -> MeshChange:
    mesh = effective.meshes[0].aws_name if effective.meshes else ""
    return MeshChange(
        action="update", target=MeshTarget(mesh=mesh, kind="mesh", name=mesh), detail=detail, digest=detail[:16]
    )


def _differs(ident: str, rendered: Rendered, before: PublishedSnapshot) -> bool:
    was, now = before.proxies.get(ident), next(proxy for proxy in rendered.proxies if proxy.id == ident)
    return was is None or any(
        bytes(old.resources) != snapshot.encoded(new)
        for old, new in ((was.clusters, now.clusters), (was.listeners, now.listeners), (was.routes, now.routes))
    )
