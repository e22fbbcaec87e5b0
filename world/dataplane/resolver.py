"""Names of load balancers: `GET /resolve?host=&port=` gives the loopback address and port behind one; 404 = NXDOMAIN.

A port that the Service does not have leads to one that is closed.
"""

from aiohttp import web

from world.dataplane.balancer import Balancer
from world.dataplane.certificates import SHOP

CLOSED = 1  # a port on which nobody listens: where a load balancer has no listener, connections are refused


class Resolver:
    """Knows exactly the names that Services carry in their status, and a name of one's own (SHOP); single names can be taken away."""

    def __init__(self, balancer: Balancer, port: int, secure_port: int) -> None:
        self.balancer, self.port, self.secure_port = balancer, port, secure_port
        self.removed: set[str] = set()
        self.added: dict[str, int] = {}  # a test's own fronts: host -> port on loopback

    async def resolve(self, request: web.Request) -> web.Response:
        """One name."""
        host = request.query.get("host", "")
        if host in self.added:
            return web.json_response({"address": "127.0.0.1", "port": self.added[host]})
        ports = {service["hostname"]: [one["port"] for one in service["ports"]] for service in self.balancer.services()}
        ports[SHOP] = [80, 443]
        if host in self.removed or host not in ports:
            return web.json_response({"error": f"{host} does not exist"}, status=404)
        port = int(request.query.get("port") or 80)
        behind = self.secure_port if port == 443 else self.port
        return web.json_response({"address": "127.0.0.1", "port": behind if port in ports[host] else CLOSED})
