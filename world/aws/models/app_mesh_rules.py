"""What App Mesh refuses in a spec beyond its shape.

The rules of listeners and routes are those that users met: aws-app-mesh-controller-for-k8s#767 and #715, terraform-provider-aws#35294.
"""

from collections.abc import Iterable

from world.aws.models.app_mesh_kinds import GATEWAY_ROUTE_KINDS, ROUTE_KINDS, Document
from world.aws.models.errors import AwsError


def _refuse(message: str) -> AwsError:
    return AwsError("BadRequestException", message)


def _one_of(spec: Document, kinds: Iterable[str], what: str) -> str:
    named = [kind for kind in kinds if spec.get(kind) is not None]
    if len(named) != 1:
        raise _refuse(f"{what} must have exactly one of {', '.join(kinds)}; it has {', '.join(named) or 'none'}.")
    return named[0]


def check_spec(kind: str, spec: Document, backends_most: int) -> None:
    """Rules that need nothing but the spec. Raises BadRequestException or LimitExceededException."""
    if kind == "route":
        _one_of(spec, ROUTE_KINDS, "A route")
    elif kind == "gatewayRoute":
        _one_of(spec, GATEWAY_ROUTE_KINDS, "A gateway route")
    elif kind == "virtualNode":
        _check_node(spec, backends_most)
    elif kind == "virtualService" and len(spec.get("provider") or {}) > 1:
        raise _refuse("A virtual service has one provider: a virtual node or a virtual router.")


def _check_node(spec: Document, backends_most: int) -> None:
    backends = spec.get("backends") or ()
    if len(backends) > backends_most:
        raise AwsError("LimitExceededException", f"A virtual node can have at most {backends_most} backends; {len(backends)} were given.")
    names = [(backend.get("virtualService") or {}).get("virtualServiceName") for backend in backends]
    if len(set(names)) != len(names):
        raise _refuse("A virtual node names each backend once.")
    if spec.get("listeners") and not spec.get("serviceDiscovery"):
        raise _refuse("A virtual node with a listener needs a service discovery.")


def check_route(router: Document, route: Document) -> None:
    """A route against its router's listeners."""
    ports = {listener["portMapping"]["port"]: listener["portMapping"]["protocol"] for listener in router.get("listeners") or ()}
    kind = _one_of(route, ROUTE_KINDS, "A route")
    port = (route[kind].get("match") or {}).get("port")
    protocol = kind.removesuffix("Route")
    if port is None and len(ports) > 1:
        raise _refuse("A route must match a port where its virtual router has several listeners.")
    if port is not None and port not in ports:
        raise _refuse(f"The route matches port {port}, on which its virtual router does not listen.")
    listening = {ports[port]} if port is not None else set(ports.values())
    if ports and protocol not in listening:
        raise _refuse(f"A route of protocol {protocol} does not fit a listener of protocol {', '.join(sorted(listening))}.")
