"""`python -m world.dataplane DIR`: management service, Envoys, load balancer, resolver, segments, and switches to break them."""

import asyncio
import contextlib
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from world.aws.process import end_group_with_me, lead_group, say_ready
from world.dataplane.balancer import Balancer
from world.dataplane.certificates import Certificates
from world.dataplane.configuration import bootstrap
from world.dataplane.envoys import Envoys, Start
from world.dataplane.management import SETTLE_S, Management
from world.dataplane.own_envoys import OwnServers
from world.dataplane.pods_view import PodsView
from world.dataplane.resolver import Resolver
from world.dataplane.segments import Segments


async def listen(port: int, *routes: web.RouteDef) -> web.AppRunner:
    """An aiohttp application on loopback."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


class Switches:
    """The control server."""

    def __init__(self, envoys: Envoys, management: Management, own: OwnServers, resolver: Resolver, certificates: Certificates) -> None:
        self.envoys, self.management, self.own = envoys, management, own
        self.resolver, self.certificates = resolver, certificates

    async def post(self, request: web.Request) -> web.Response:
        """envoy/kill, envoy/stop, envoy/start, envoy/settle (do all go by what the mesh API says now, or by the snapshot `number`?), envoy/refusals,
        management/stop, management/start, dns, targets, certificate.
        """
        what = request.match_info["what"]
        if what in ("envoy/kill", "envoy/stop"):
            self.envoys.paused = what == "envoy/stop"
            return web.json_response({"killed": self.envoys.kill()})
        if what == "envoy/start":
            self.envoys.paused = False
        elif what == "envoy/settle":
            number = (await request.json()).get("number", 0)
            if number:
                return web.json_response({"settled": await self.own.settled(self.envoys.addresses, number, SETTLE_S)})
            waits = await self.management.settled(self.envoys.proxies)
            return web.json_response({"settled": not waits, "waits": waits})
        elif what == "envoy/refusals":
            return web.json_response(self.own.refusals())
        elif what in ("management/stop", "management/start"):
            self.management.running = what == "management/start"
        elif what == "dns":
            body = await request.json()
            self.resolver.removed ^= self.resolver.removed if body.get("restore") else set()
            if body.get("remove"):
                self.resolver.removed.add(body["remove"])
            self.resolver.added.update(body.get("add", {}))
        elif what == "targets":
            self.resolver.balancer.detached = bool((await request.json()).get("detached"))
        elif what == "certificate":
            self.certificates.renew(float((await request.json())["days"]))
        else:
            return web.Response(status=404)
        return web.json_response({"ok": True})


async def register(document: dict[str, Any], balancer: Balancer) -> None:
    """Tell the ELB API which load balancers there are and how their targets do, until cancelled."""
    port = document["ports"]["aws"]
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session:
        while True:
            for service in balancer.services():
                targets = [
                    {"id": ip, "state": "InService" if balancer.healthy.get((ip, at)) else "OutOfService"}
                    for ip, at in balancer.targets(service)
                ]
                listeners = [{"protocol": "http", "port": p["port"], "instance_port": p["targetPort"]} for p in service["ports"]]
                body = {
                    "name": service["hostname"].partition("-")[0],
                    "hostname": service["hostname"],
                    "listeners": listeners,
                    "instances": targets,
                }
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with session.post(f"http://127.0.0.1:{port}/_world/load-balancers", json=body):
                        pass
            await asyncio.sleep(1)


def started(pod: dict[str, Any], document: dict[str, Any], own: OwnServers) -> Start | None:
    """An Envoy of App Mesh asks the management service, by the id that the injecting webhook wrote into the pod; one of our own asks our servers."""
    name = pod["virtual_node"]
    if not name:
        return None
    to_own = document["mesh"] == "envoy"
    return Start(f"{name}|{pod['ip']}", own.bootstrap(pod) if to_own else bootstrap(name, pod["ip"], document["ports"]["xds"]))


async def main(folder: Path) -> None:
    """Start all, say ready, end on SIGTERM."""
    document = json.loads((folder / "world.json").read_text())
    ports = document["ports"]
    view = PodsView(document)
    management = Management.of(document)
    own = OwnServers(document, view)
    envoys = Envoys(document, view, lambda pod: started(pod, document, own), management.forget)
    balancer = Balancer(document, view)
    certificates = Certificates(folder)
    resolver = Resolver(balancer, ports["front"], ports["front_tls"])
    segments = Segments(document)
    runners = [
        await listen(ports["xds"], web.post("/v3/discovery:{kind}", management.answer)),
        await listen(ports["resolver"], web.get("/resolve", resolver.resolve)),
        await listen(ports["dataplane"], web.post("/_world/{what:.+}", Switches(envoys, management, own, resolver, certificates).post)),
    ]
    streams = await own.serve()
    front = await asyncio.start_server(balancer.serve, "127.0.0.1", ports["front"], backlog=256)
    secure = await asyncio.start_server(balancer.serve, "127.0.0.1", ports["front_tls"], backlog=256, ssl=certificates.context)
    follow = [
        view.follow(),
        envoys.follow(),
        management.follow(lambda: envoys.proxies() if document["mesh"] == "appmesh" else []),
        own.renew(),
        balancer.check(),
        segments.follow(envoys.proxies),
        register(document, balancer),
    ]
    tasks = [asyncio.create_task(one) for one in follow]
    ended = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)
    say_ready()
    await asyncio.wait([asyncio.create_task(ended.wait()), *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done() and task.exception():
            logging.getLogger("dataplane").error("a task ended", exc_info=task.exception())
    envoys.stop()
    for task in tasks:
        task.cancel()
    front.close()
    secure.close()
    await streams.stop(None)
    for runner in runners:
        await runner.cleanup()


if __name__ == "__main__":
    lead_group()
    end_group_with_me()
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main(Path(sys.argv[1])))
