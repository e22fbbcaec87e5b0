"""Names of load balancers: `GET /resolve?host=&port=` gives the loopback address and port behind one; 404 = NXDOMAIN."""

from aiohttp import web

from world.dataplane.balancer import Balancer
from world.dataplane.certificates import SHOP


class Resolver:
    """Knows exactly the names that Services carry in their status, and a name of one's own (SHOP); single names can be taken away."""

    def __init__(self, balancer: Balancer, port: int, secure_port: int) -> None:
        self.balancer, self.port, self.secure_port = balancer, port, secure_port
        self.removed: set[str] = set()

    async def resolve(self, request: web.Request) -> web.Response:
        """One name."""
        host = request.query.get("host", "")
        if host in self.removed or host not in {SHOP, *(service["hostname"] for service in self.balancer.services())}:
            return web.json_response({"error": f"{host} does not exist"}, status=404)
        return web.json_response({"address": "127.0.0.1", "port": self.secure_port if request.query.get("port") == "443" else self.port})
