"""Snapshots of the walkthrough's manifests, step by step: what crossmesh would publish for some hosts."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crossmesh.core.compiler.build import build
from crossmesh.core.mesh.xds import snapshot
from crossmesh.core.mesh.xds.endpoints import Host
from crossmesh.core.mesh.xds.render import render
from crossmesh.core.mesh.xds.snapshot import Content, Publication, PublishedSnapshot
from crossmesh.core.settings import ClusterSettings, EnvoySettings
from crossmesh.core.topology import Topology
from crossmesh.manifests import load

from tests.support import golden_envoy

LINEAGE = "2b" * 16
CLUSTERS = tuple(ClusterSettings(name=name, eks=name, region="us-east-1") for name in ("west", "east"))
Hosts = dict[str, list[Host]]


def walkthrough(**replaced: str) -> Topology:
    """The walkthrough's topology; `replaced`: texts of its manifests, with others in their place."""
    files = sorted((Path(__file__).parents[2] / "config" / "mesh").glob("*.yaml"))
    texts = [(file.name, file.read_text()) for file in files]
    for old, new in replaced.items():
        assert any(old in text for _, text in texts), old
        texts = [(name, text.replace(old, new)) for name, text in texts]
    return build(load([(name, text.encode()) for name, text in texts]).documents).topology


def hosts(topology: Topology) -> Hosts:
    """Two healthy hosts of each virtual node."""
    return {
        key: [Host(id=host.id, address=host.address, attributes=host.attributes) for host in some]
        for key, some in golden_envoy.hosts(topology).items()
    }


def content(topology: Topology, some: Hosts, reasons: dict[tuple[str, str], str] | None = None, **more: Any) -> Content:
    """What is published for a topology and hosts."""
    rendered = render(topology, EnvoySettings(), hosts=some)
    return Content(
        rendered=rendered, hosts=some, allowed=more.pop("allowed", snapshot.allowed(rendered.proxies, CLUSTERS)), reasons=reasons or {}
    )


def reread(made: Publication, *before: Publication) -> PublishedSnapshot:
    """A publication as the next run reads it."""
    objects = {name: data for one in (*before, made) for name, data in one.parts.items()}
    root = snapshot.read_root(made.pointer, made.root)
    return snapshot.in_force(made.pointer, root, {name: objects[name] for name in root.parts})


def first(topology: Topology, some: Hosts) -> Publication:
    """The first snapshot of a lineage."""
    made = snapshot.following(content(topology, some), None, lineage=LINEAGE, epoch=3)
    assert made is not None
    return made


def without(some: Hosts, *ids: str) -> Hosts:
    """The same hosts but for these."""
    return {key: [host for host in found if host.id not in ids] for key, found in some.items()}


def key_of(some: Hosts, ident: str) -> str:
    """The service's key of a host."""
    return next(key for key, found in some.items() if any(host.id == ident for host in found))


def ids(some: Hosts) -> Iterable[str]:
    """All ids of hosts."""
    return [host.id for found in some.values() for host in found]
