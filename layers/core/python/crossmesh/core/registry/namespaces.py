"""Which Cloud Map namespace a name in a manifest means. Identity is the id or ARN; a name that fits
several namespaces means none of them.

AWS allows one name in several VPCs, and another account may share a namespace of any name (API
model: HttpName, ResourceOwner). Pure.
"""

from collections.abc import Mapping, Sequence

import msgspec

from crossmesh.core.observed import Problem, ServiceView
from crossmesh.core.suggestions import nearest


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace as ListNamespaces shows it. `account` is the owner's where another account shares
    it, else "".
    """

    name: str
    id: str
    arn: str
    kind: str  # DNS_PRIVATE | DNS_PUBLIC | HTTP
    http_name: str
    account: str = ""
    zone: str = ""  # id of its hosted zone; an HTTP namespace has none

    @property
    def reference(self) -> str:
        """What calls name it by: its id, or its ARN where it is shared (API model)."""
        return self.arn if self.account else self.id

    def view(self, service: str) -> ServiceView:
        """A service in it that does not exist yet."""
        return ServiceView(
            namespace=self.name,
            service=service,
            namespace_id=self.reference,
            namespace_type=self.kind,
            http_name=self.http_name if self.http_name != self.name else "",
            account=self.account,
        )


def chosen(
    name: str, pins: Mapping[str, str], own: Sequence[Namespace], shared: Sequence[Namespace]
) -> Namespace | Problem:
    """The namespace that `name` means. `pins`: `mesh.namespaces` of the settings, name -> id or
    ARN.
    """
    pin = pins.get(name)
    if pin is not None:
        return _pinned(name, pin, [*own, *shared])
    found = [one for one in own if one.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{one.id} ({one.kind})" for one in sorted(found, key=lambda one: one.id))
        told = f"several Cloud Map namespaces are named {name}: {several}"
        return Problem(why="namespace-ambiguous", detail=told, fix=_say(name, found[0].id))
    foreign = sorted((one for one in shared if one.name == name), key=lambda one: one.arn)
    if foreign:
        told = f"Cloud Map namespace {name} belongs to account {foreign[0].account}, which shares it"
        return Problem(why="namespace-shared", detail=told, fix=f"to use it, {_say(name, foreign[0].arn)}")
    alike = sorted({one.name for one in (*own, *shared) if one.name.lower() == name.lower()})
    told = f"Cloud Map namespace {name} does not exist"
    if alike:
        told += f" (there is {', '.join(alike)}: names are compared exactly)"
    elif near := nearest(name, {one.name for one in (*own, *shared)}):
        told += f"; did you mean {near}?"
    return Problem(why="namespace-missing", detail=told, fix=CREATE)


CREATE = (
    "correct namespaceName in the manifests, or create the namespace, then run `crossmesh init` and deploy"
    " (docs/how-to/choose-a-namespace.md)"
)
_CORRECT = "correct mesh.namespaces in crossmesh.yaml"


def _pinned(name: str, pin: str, there: Sequence[Namespace]) -> Namespace | Problem:
    found = next((one for one in there if pin in (one.id, one.arn)), None)
    if found is None:
        told = f"mesh.namespaces says that {name} is {pin}, and this account sees no such namespace in this Region"
        return Problem(why="namespace-missing", detail=told, fix=_CORRECT)
    if found.name != name:
        return Problem(
            why="namespace-missing",
            detail=f"mesh.namespaces says that {name} is {pin}, whose name is {found.name}",
            fix=_CORRECT,
        )
    return found


def _say(name: str, reference: str) -> str:
    return f"write `mesh: {{namespaces: {{{name}: {reference}}}}}` in crossmesh.yaml"
