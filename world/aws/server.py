"""Cloud Map, App Mesh, EKS, classic ELB and X-Ray over HTTP: `python -m world.aws.server DIR`.

A call is read by its protocol, its signature checked, its caller's deployed policies asked; then faults strike, then the model answers.
One loop, no threads: the models are never entered twice at once.
"""

import asyncio
import contextlib
import re
import signal
import sys
import time
import uuid
from collections import Counter, deque
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from world.aws.config import Document, read_world, url
from world.aws.faults import Faults
from world.aws.identity import Identities, Identity
from world.aws.models.errors import AwsError
from world.aws.process import say_ready
from world.aws.protocols import HttpAnswer, HttpRequest, Protocol
from world.aws.restart import restart, taken_up
from world.aws.services import Services
from world.aws.signature import check_signature, read_signature
from world.aws.trail import event, is_write

RECENT_KEPT = 2_000
BODY_MOST = 4 * 1024 * 1024
ANSWERED_S = 0.05  # for the answer to leave before a restart


class ConnectionCut(Exception):
    """The client is to hear nothing."""


class AwsServer:
    """The wire and what is counted on it."""

    def __init__(self, world: Document, services: Services, identities: Identities) -> None:
        self.world, self.services, self.identities = world, services, identities
        self.faults = Faults()
        self.calls: Counter[tuple[str, str, str, str]] = Counter()
        self.recent: deque[Document] = deque(maxlen=RECENT_KEPT)
        self.trail: asyncio.Queue[Document] = asyncio.Queue()

    async def handle(self, incoming: web.Request) -> web.StreamResponse:
        """One call of AWS."""
        path, _, query = incoming.raw_path.partition("?")
        headers = {name.lower(): value for name, value in incoming.headers.items()}
        request = HttpRequest(incoming.method, path, query, headers, await incoming.read())
        try:
            answer = await self._answer(request, incoming.remote or "")
        except ConnectionCut:
            if incoming.transport:
                incoming.transport.abort()
            return web.Response()
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async def _answer(self, request: HttpRequest, address: str) -> HttpAnswer:
        request_id = str(uuid.uuid4())
        wire, operation, principal = self.services.by_scope["servicediscovery"].wire, "?", "?"
        try:
            signature = read_signature(request)
            if signature.service not in self.services.by_scope:
                raise AwsError("InvalidSignatureException", f"No service {signature.service} is here.")
            service = self.services.by_scope[signature.service]
            wire = service.wire
            identity = await self.identities.resolve(signature.access_key_id, request.headers.get("x-amz-security-token", ""))
            principal = identity.arn
            if signature.region != self.world["region"]:
                raise AwsError("InvalidSignatureException", f"Credential should be scoped to the region {self.world['region']}.")
            check_signature(request, signature, identity.secret, time.time())
            operation, document = wire.parse(request)
            await self.identities.authorise(identity, service.needs(operation, document))
            output = await self._run(wire, operation, document, identity, service.call)
        except AwsError as error:
            self._count(wire, operation, principal, error.code)
            return wire.error(error, request_id, error.members.pop("_status", None))
        self._count(wire, operation, principal, "ok")
        if is_write(operation):
            agent = request.headers.get("user-agent", "")
            self.trail.put_nowait(
                event(
                    wire.name,
                    wire.operation(operation),
                    identity,
                    document,
                    output,
                    region=self.world["region"],
                    request_id=request_id,
                    agent=agent,
                    address=address,
                    now=time.time(),
                )
            )
        return wire.answer(operation, output, request_id)

    async def _run(self, wire: Protocol, operation: str, document: Document, identity: Identity, call: Any) -> Document:
        """The model's answer, with the faults that strike."""
        striking = self.faults.striking(wire.name, operation, identity.arn, time.monotonic())
        delay = self.services.latency_s + sum(fault.delay_s for fault in striking)
        if delay:
            await asyncio.sleep(delay)
        for fault in striking:
            if fault.drop_before:
                self._count(wire, operation, identity.arn, "cut before")
                raise ConnectionCut
            refusal = fault.refusal(wire.name)
            if refusal:
                if fault.status:
                    refusal.members["_status"] = fault.status
                raise refusal
        output = call(operation, document)
        if any(fault.drop_after for fault in striking):
            self._count(wire, operation, identity.arn, "cut after")
            raise ConnectionCut
        return output

    def _count(self, wire: Protocol, operation: str, principal: str, outcome: str) -> None:
        self.calls[wire.name, operation, principal, outcome] += 1
        self.recent.append({"time": time.time(), "service": wire.name, "operation": operation, "principal": principal, "outcome": outcome})

    async def deliver_trail(self) -> None:
        """Publish the events of writes, in order, behind the answers; an event that cannot be delivered is lost, as CloudTrail's may be."""
        while True:
            with contextlib.suppress(AwsError):
                await self.identities.emit(await self.trail.get())


class WorldControl:
    """The `/_world/` paths: for tests, scenarios and the other parts; not signed."""

    def __init__(self, server: AwsServer) -> None:
        self.server, self.services = server, server.services

    def routes(self) -> list[web.RouteDef]:
        """All paths."""
        return [
            web.get("/_world/health", self.health),
            web.get("/_world/faults", self.show_faults),
            web.post("/_world/faults", self.lay_faults),
            web.delete("/_world/faults", self.clear_faults),
            web.delete("/_world/faults/{id}", self.clear_faults),
            web.get("/_world/settings", self.show_settings),
            web.post("/_world/settings", self.change_settings),
            web.get("/_world/calls", self.show_calls),
            web.delete("/_world/calls", self.reset_calls),
            web.get("/_world/access-entries/{cluster}", self.access_entries),
            web.get("/_world/pod-identities/{cluster}", self.pod_identities),
            web.get("/_world/load-balancers", self.show_balancers),
            web.post("/_world/load-balancers", self.put_balancers),
            web.delete("/_world/load-balancers/{name}", self.remove_balancer),
            web.post("/_world/network", self.put_network),
            web.post("/_world/share", self.share),
            web.delete("/_world/verdicts", self.forget_verdicts),
            web.post("/_world/restart", self.restart),
        ]

    async def health(self, _: web.Request) -> web.Response:
        """Whether it serves."""
        return web.json_response({"ok": True})

    async def show_faults(self, _: web.Request) -> web.Response:
        """All faults, with how often each has struck."""
        return web.json_response(self.server.faults.shown())

    async def lay_faults(self, request: web.Request) -> web.Response:
        """Lay one fault, or a list."""
        given = await request.json()
        try:
            return web.json_response(self.server.faults.add(given if isinstance(given, list) else [given]))
        except (TypeError, KeyError, ValueError, re.error) as error:
            return web.json_response({"message": str(error)}, status=400)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Clear all, or one by its id."""
        ident = request.match_info.get("id")
        self.server.faults.clear(int(ident) if ident else None)
        return web.json_response(self.server.faults.shown())

    async def show_settings(self, _: web.Request) -> web.Response:
        """The knobs."""
        return web.json_response(self.services.settings())

    async def change_settings(self, request: web.Request) -> web.Response:
        """Turn some; all or none."""
        try:
            self.services.change_settings(await request.json())
        except (KeyError, TypeError, ValueError) as error:
            return web.json_response({"message": str(error)}, status=400)
        return web.json_response(self.services.settings())

    async def show_calls(self, request: web.Request) -> web.Response:
        """Counts by service, operation, principal and outcome ("ok" or the error's code); `?recent=N` adds the last calls in order."""
        calls = [
            {"service": service, "operation": operation, "principal": principal, "outcome": outcome, "count": count}
            for (service, operation, principal, outcome), count in sorted(self.server.calls.items())
        ]
        document: Document = {"total": sum(self.server.calls.values()), "calls": calls}
        recent = int(request.query.get("recent", 0))
        if recent:
            document["recent"] = list(self.server.recent)[-recent:]
        return web.json_response(document)

    async def reset_calls(self, request: web.Request) -> web.Response:
        """Count from zero; answers what was counted."""
        answer = await self.show_calls(request)
        self.server.calls.clear()
        self.server.recent.clear()
        return answer

    async def pod_identities(self, request: web.Request) -> web.Response:
        """namespace/service account -> role ARN, for the cluster's Pod Identity agent."""
        found = self.services.eks.associations.get(request.match_info["cluster"])
        return web.json_response(found.roles() if found else {}, status=200 if found else 404)

    async def access_entries(self, request: web.Request) -> web.Response:
        """Principal ARN -> groups, for the cluster's token check."""
        try:
            return web.json_response(self.services.eks.groups(request.match_info["cluster"]))
        except AwsError as error:
            return web.json_response({"message": error.message}, status=404)

    async def show_balancers(self, _: web.Request) -> web.Response:
        """What the data plane made known."""
        return web.json_response(list(self.services.elb.balancers.values()))

    async def put_balancers(self, request: web.Request) -> web.Response:
        """Make load balancers known."""
        given = await request.json()
        for balancer in given if isinstance(given, list) else [given]:
            if not {"name", "hostname"} <= balancer.keys():
                return web.json_response({"message": "name and hostname are needed"}, status=400)
            self.services.elb.put(balancer)
        return await self.show_balancers(request)

    async def remove_balancer(self, request: web.Request) -> web.Response:
        """Forget one."""
        self.services.elb.remove(request.match_info["name"])
        return await self.show_balancers(request)

    async def share(self, request: web.Request) -> web.Response:
        """{"owner", "name"}: another account shares a Cloud Map namespace through RAM; answers its ARN."""
        given = await request.json()
        return web.json_response({"arn": self.services.cloud_map.share(given["owner"], given["name"]).arn})

    async def forget_verdicts(self, _: web.Request) -> web.Response:
        """Ask anew who callers are and what they may (otherwise remembered for seconds)."""
        self.server.identities.forget()
        return web.json_response({})

    async def restart(self, request: web.Request) -> web.Response:
        """{"seconds"}: end in the middle of everything, and listen again after so long."""
        seconds, folder = float((await request.json()).get("seconds", 0.0)), Path(self.server.world["dir"])
        asyncio.get_running_loop().call_later(ANSWERED_S, restart, self.services, folder, seconds)
        return web.json_response({})

    async def put_network(self, request: web.Request) -> web.Response:
        """{"vpc_id", "groups": {name: id}}: what DescribeCluster answers; told by the seed."""
        self.services.network = await request.json()
        return web.json_response(self.services.network)


async def serve(world: Document, services: Services | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    services = services or Services(world)
    silence = taken_up(services, Path(world["dir"]))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), silence)
    limits = aiohttp.TCPConnector(limit=32, keepalive_timeout=30)
    async with aiohttp.ClientSession(connector=limits, timeout=aiohttp.ClientTimeout(total=10), trust_env=False) as http:
        server = AwsServer(world, services, Identities(http, url(world, "control")))
        application = web.Application(client_max_size=BODY_MOST)
        application.add_routes(WorldControl(server).routes())
        application.router.add_route("*", "/{path:.*}", server.handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", world["ports"]["aws"]).start()
        trail = asyncio.create_task(server.deliver_trail())
        say_ready()
        await stop.wait()
        trail.cancel()
        await runner.cleanup()


def main(folder: Path) -> None:
    """Run until told to stop."""
    asyncio.run(serve(read_world(folder)))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
