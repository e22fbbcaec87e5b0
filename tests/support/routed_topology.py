"""A topology with routes whose weights can shift."""

from crossmesh.core.topology import Topology

from tests.support.builders import router, service


def topology(blue: int = 1, red: int = 1) -> Topology:
    targets = [{"@VirtualNode": "blue_demo", "weight": blue}, {"@VirtualNode": "red_demo", "weight": red}]
    routes = [{"name": "all", "httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": targets}}}]
    return Topology(routers=(router("r", *routes),), services=(service("s", virtualRouter={"@VirtualRouter": "r_demo"}),))
