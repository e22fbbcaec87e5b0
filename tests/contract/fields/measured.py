"""What each leaf of the CRDs changes of the rendering for own Envoys: found by changing it wherever recorded manifests have it."""

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
from crossmesh.core.compiler.build import build
from crossmesh.core.documents import Document
from crossmesh.core.mesh.xds.endpoints import Host
from crossmesh.core.mesh.xds.render import Rendered, render
from crossmesh.core.settings import EnvoySettings
from crossmesh.manifests import load
from crossmesh.manifests.schema import Rule

from tests.contract.fields.leaves import leaves, occurrences, others, steps
from tests.support.golden_envoy import CASES, hosts

Paths = tuple[str, ...]
_NAMES = {"virtualNodeRef": "VirtualNode", "virtualRouterRef": "VirtualRouter", "virtualServiceRef": "VirtualService"}
_MOST = 6  # occurrences of a leaf in one set of manifests


class Base:
    """A set of manifests and what is rendered of it."""

    def __init__(self, documents: tuple[Document, ...], settings: EnvoySettings) -> None:
        self.documents, self.settings = documents, settings
        listeners = [listener for document in documents for listener in document.spec.get("listeners") or ()]
        self.ports = sorted({listener["portMapping"]["port"] for listener in listeners})
        self.hosts: dict[str, list[Host]] = hosts(build(documents).topology)
        self.errors, self.rendered = self.render(documents)
        self.flat = flat(self.rendered)

    def render(self, documents: tuple[Document, ...]) -> tuple[set[str], Rendered]:
        """Mistakes, and the rendering with the hosts of the unchanged manifests."""
        built = build(documents)
        made = render(built.topology, self.settings, hosts=self.hosts)
        return {f"{one.code} {one.place}" for one in (*built.findings, *made.findings) if one.level == "error"}, made

    def changes(self, index: int, path: list[str], number: int, value: Any) -> Paths | None:
        """The paths that differ with another value there; None where that is a mistake."""
        document = self.documents[index]
        spec = copy.deepcopy(document.spec)
        holder, key = list(occurrences({"spec": spec}, path))[number]
        holder[key] = value
        changed = [*self.documents]
        changed[index] = msgspec.structs.replace(document, spec=spec)
        errors, made = self.render(tuple(changed))
        return None if errors - self.errors or made.withheld != self.rendered.withheld else different(self.flat, flat(made))


def bases() -> list[Base]:
    """The recorded manifests, those that have the most leaves first."""
    found = []
    for name in ("leaves", "protocols", "health", "tls", "gateway-routes", "routes", "every-field"):
        files, settings = CASES[name]
        found.append(Base(load([(file.name, file.read_bytes()) for file in files]).documents, settings))
    return found


def measured() -> dict[str, Paths]:
    """`Kind path` of every leaf -> the paths of Envoy's configuration that it sets, sorted; () = none changes."""
    known = bases()
    return {f"{kind} {path}": next(_of_leaf(known, kind, path, rule), ()) for kind, path, rule in leaves()}


def _of_leaf(known: list[Base], kind: str, path: str, rule: Rule) -> Iterator[Paths]:
    """What each change of a leaf changes, wherever it changes anything."""
    split = steps(path)
    for base in known:
        found = [
            (index, number, holder[key])
            for index, document in enumerate(base.documents)
            if document.kind == kind
            for number, (holder, key) in enumerate(occurrences({"spec": document.spec}, split))
        ]
        for index, number, value in found[:_MOST]:
            for other in _candidates(base, path, rule, value):
                if changed := base.changes(index, split, number, other):
                    yield changed


def _candidates(base: Base, path: str, rule: Rule, value: Any) -> Iterator[Any]:
    """Other values that are no mistake: what is referred to must be there, ports must be listened on."""
    parts = path.split(".")
    kind = _NAMES.get(parts[-2], "BackendGroup" if parts[-2] == "backendGroups[]" else "VirtualService" if "virtualservices" in path else "")
    if parts[-1] == "name" and kind:
        yield from sorted({one.name for one in base.documents if one.kind == kind and one.name != value})
        return
    if parts[-1] == "port":
        yield from (port for port in base.ports if port != value)
    if parts[-1] == "namespace":
        yield from sorted({one.name for one in base.documents if one.kind == "Namespace" and one.name != value})
        return
    yield from others(rule, value)


def flat(rendered: Rendered) -> dict[str, list[str]]:
    """Every value of a rendering by its path, without the places in lists, over all proxies in their order."""
    found: dict[str, list[str]] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}.{key}" if path else key)
        elif isinstance(value, list | tuple):
            for inner in value:
                walk(inner, f"{path}[]")
        else:
            found.setdefault(path, []).append(repr(value))

    for proxy in rendered.proxies:
        walk({"id": proxy.id, "listeners": proxy.listeners, "routes": proxy.routes, "clusters": proxy.clusters}, "")
    for sets in rendered.endpoints.values():
        walk(list(sets.values()), "endpoints")
    return found


def different(one: dict[str, list[str]], other: dict[str, list[str]]) -> Paths:
    """The paths whose values are not the same."""
    return tuple(sorted(path for path in {*one, *other} if one.get(path) != other.get(path)))
