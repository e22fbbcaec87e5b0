"""The gRPC side: streams of Envoys come in, the fleet says what each is sent, and objects of the
snapshot go to servers that start.
"""

import asyncio
import itertools
import logging
import random
import time
from typing import Any

import grpc
import msgspec

from . import codec
from .certificates import Pair, due, leaf
from .fleet import Fleet, Sent
from .identity import Denied, Gate, Identity, Unanswered, may
from .loader import Loader
from .mesh import Snapshot, number_of
from .metrics import Metrics
from .published import Unusable
from .stream import Request, Response

LOG = logging.getLogger("crossmesh.xds")
STREAMS = 1_500  # calls at once; more are refused, and Envoys ask another replica
COMING_IN = 50  # streams that are let in at once
SLOWED = 200  # refusals that wait
FIRST_REQUEST_S = 30.0  # Envoy sends it at once; a thousand that come together take a while
REQUEST_LIMIT = 1 << 20  # bytes; the first one has Envoy's whole node, 61 KB
BEHIND_S = 10.0
AGE_S = 1_800.0  # a stream's, give or take a fifth: Envoys spread over replicas again
DRAIN_S, DRAIN_STEP_S = 4.0, 0.1  # over which streams are ended at the end, one after the other
TICK_S = 1.0
OBJECTS = "/crossmesh.xds.Objects/Get"  # for servers that start: a digest, or "pointer"
POINTER_NAME = b"pointer"
_OPTIONS = [
    ("grpc.max_receive_message_length", REQUEST_LIMIT),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
    # Less memory a connection: smaller TLS buffers, no windows that grow for bulk transfers
    ("grpc.tsi.max_frame_size", 4_096),
    ("grpc.http2.bdp_probe", 0),
]
_SAME = None  # what grpc takes for bytes as they are


class _Ended(msgspec.Struct, frozen=True):
    """Why a stream is closed by us."""

    code: Any
    reason: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where this server runs and as whom. Other servers have the same namespace and account."""

    cluster: str  # as crossmesh.yaml names it
    name: str  # this pod
    namespace: str = "crossmesh"
    account: str = "crossmesh-xds"


class Server:
    """One cluster's Envoys. All of it but the sources runs in one event loop."""

    def __init__(self, place: Place, gate: Gate, loader: Loader, metrics: Metrics) -> None:
        self._cluster, self._name, self._peers = place.cluster, place.name, (place.namespace, place.account)
        self._gate, self._loader, self.metrics = gate, loader, metrics
        self._slowed = 0
        self.fleet = Fleet(codec.empty)
        self._queues: dict[str, asyncio.Queue[Response | _Ended]] = {}
        self._count = itertools.count(1)
        self._coming = asyncio.Semaphore(COMING_IN)
        self._grpc: Any = None
        self._draining = False
        self._taken_at, self._before = 0.0, 0
        metrics.stopped.set_function(lambda: len(self.fleet.stopped))

    async def start(self, address: str, signer: Pair, names: list[str]) -> int:
        """Serve on `address` (host:port, 0 for any); the port. TLS always, with a leaf that is
        renewed in time and never leaves the process.
        """
        self._grpc = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=STREAMS)
        handlers = {
            codec.DISCOVERY: grpc.stream_stream_rpc_method_handler(self._stream, _SAME, _SAME),
            OBJECTS: grpc.unary_unary_rpc_method_handler(self._object, _SAME, _SAME),
        }
        for path, handler in handlers.items():
            service, _, method = path.removeprefix("/").partition("/")
            self._grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        held = [leaf(signer, names)]

        def fetched() -> Any:
            """Asked at each handshake; None: as before."""
            if not due(held[0]):
                return None
            held[0] = leaf(signer, names)
            return _shown(held[0])

        credentials = grpc.dynamic_ssl_server_credentials(_shown(held[0]), fetched)
        port = int(self._grpc.add_secure_port(address, credentials))
        await self._grpc.start()
        return port

    def take(self, snapshot: Snapshot) -> None:
        """Serve another snapshot."""
        self._taken_at = time.monotonic()
        self._before = self.fleet.snapshot.pointer.number if self.fleet.snapshot else snapshot.pointer.number
        self._send(self.fleet.take(snapshot, self._taken_at))
        self.metrics.number.set(snapshot.pointer.number)
        LOG.info(
            "snapshot",
            extra={
                "data": {
                    "number": snapshot.pointer.number,
                    "lineage": snapshot.pointer.lineage,
                    "streams": len(self._queues),
                }
            },
        )

    async def tick(self, ended: asyncio.Event) -> None:
        """What goes by time, until `ended`."""
        while not ended.is_set():
            now = time.monotonic()
            self._send(self.fleet.tick(now))
            for ident in self.fleet.behind(now, BEHIND_S):
                self.metrics.behind.inc()
                self._end(ident, _Ended(grpc.StatusCode.UNAVAILABLE, "another replica has a newer snapshot"))
            await asyncio.sleep(TICK_S)

    async def drain(self) -> None:
        """Take nobody in, end streams one after the other, so that Envoys do not all come to
        another replica at once; then stop.
        """
        self._draining = True
        streams = list(self._queues)
        for ident in streams:
            self._end(ident, _Ended(grpc.StatusCode.UNAVAILABLE, "this server ends"))
            await asyncio.sleep(min(DRAIN_S / len(streams), DRAIN_STEP_S))
        await self._grpc.stop(1.0)

    async def _stream(self, requests: Any, context: Any) -> None:
        ident = f"{next(self._count)}"
        queue: asyncio.Queue[Response | _Ended] = asyncio.Queue()
        try:
            asked = await self._first(requests)
            async with self._coming:
                who = await self._admitted(context)
                self._join(ident, asked, who, context.peer())
                self._queues[ident] = queue
                self.metrics.streams.set(len(self._queues))
                self._heard(ident, asked)
        except _Refused as error:
            await self._refuse(context, error)
        reader = asyncio.create_task(self._read(ident, requests, queue))
        age = asyncio.get_running_loop().call_later(
            AGE_S * random.uniform(0.8, 1.2), self._end, ident, _Ended(grpc.StatusCode.OK, "")
        )
        try:
            while isinstance(said := await queue.get(), Response):
                await context.write(codec.response(said.kind, said.version, said.nonce, said.resources, self._name))
                self.metrics.sent.labels(said.kind.name.lower()).inc()
                if not said.first and number_of(said.version) > self._before:
                    self.metrics.latency.observe(time.monotonic() - self._taken_at)
            if said.code is not grpc.StatusCode.OK:
                await context.abort(said.code, said.reason)
        finally:
            age.cancel()
            reader.cancel()
            del self._queues[ident]
            self.metrics.streams.set(len(self._queues))
            self._send(self.fleet.leave(ident, time.monotonic()))

    async def _read(self, ident: str, requests: Any, queue: asyncio.Queue[Response | _Ended]) -> None:
        try:
            async for data in requests:
                self._heard(ident, codec.request(data))
        except Unusable as error:
            queue.put_nowait(_Ended(grpc.StatusCode.INVALID_ARGUMENT, str(error)))
        else:
            queue.put_nowait(_Ended(grpc.StatusCode.OK, ""))

    def _heard(self, ident: str, asked: codec.Asked) -> None:
        """A request. Types that are not served are not answered; Envoy asks for none of them with
        what crossmesh renders.
        """
        if asked.kind is None:
            return
        said = Request(kind=asked.kind, version=asked.version, nonce=asked.nonce, names=asked.names, error=asked.error)
        member = self.fleet.members[ident]
        unknown = len(member.stream.unknown)
        self._send(self.fleet.request(ident, said, time.monotonic()))
        self.metrics.unknown.inc(len(member.stream.unknown) - unknown)
        refusals, self.fleet.refusals = self.fleet.refusals, []
        for proxy, instance, refusal in refusals:
            self.metrics.refusals.labels(refusal.kind.name.lower()).inc()
            named = [f"{one.name} {one.hash}" for one in refusal.resources]
            data = {
                "proxy": proxy,
                "instance": instance,
                "type": refusal.kind.name.lower(),
                "resources": named[:20],
                "words": refusal.words,
            }
            LOG.warning("refused by Envoy", extra={"data": data})

    def _send(self, sent: Sent) -> None:
        for ident, response in sent:
            if ident in self._queues:
                self._queues[ident].put_nowait(response)

    def _end(self, ident: str, why: _Ended) -> None:
        if ident in self._queues:
            self._queues[ident].put_nowait(why)

    async def _first(self, requests: Any) -> codec.Asked:
        try:
            asked = codec.request(await asyncio.wait_for(anext(aiter(requests)), FIRST_REQUEST_S))
        except (TimeoutError, StopAsyncIteration, Unusable) as error:
            raise _Refused(grpc.StatusCode.INVALID_ARGUMENT, "no_request", type(error).__name__) from error
        if self._draining:
            raise _Refused(grpc.StatusCode.UNAVAILABLE, "draining", "this server ends")
        return asked

    async def _admitted(self, context: Any) -> Identity:
        """Who asks. Raises _Refused."""
        try:
            return await self._gate.admit(_token(context), _host(context))
        except Denied as error:
            raise _Refused(grpc.StatusCode.UNAUTHENTICATED, "token", str(error), slow=True) from error
        except Unanswered as error:
            raise _Refused(grpc.StatusCode.UNAVAILABLE, "unanswered", str(error)) from error

    def _join(self, ident: str, asked: codec.Asked, who: Identity, peer: str) -> None:
        """Raises _Refused. A proxy that is not known is never answered with nothing."""
        snapshot = self.fleet.snapshot
        if snapshot is None:
            raise _Refused(grpc.StatusCode.UNAVAILABLE, "no_snapshot", "this server has no snapshot yet")
        found = snapshot.proxies.get(asked.node)
        if found is None:
            raise _Refused(
                grpc.StatusCode.INVALID_ARGUMENT, "unknown", f"no snapshot has {asked.node[:200]!r}", slow=True
            )
        if not may(found.allowed, self._cluster, who):
            raise _Refused(
                grpc.StatusCode.PERMISSION_DENIED,
                "not_allowed",
                f"{who.namespace}/{who.account} may not be {asked.node}",
                slow=True,
            )
        self.fleet.join(ident, asked.node, asked.minor, who.pod or peer)

    async def _refuse(self, context: Any, why: "_Refused") -> None:
        """Say it, slowly where it may be somebody who tries. Too many that wait are told at once:
        they must not keep Envoys out.
        """
        self.metrics.refused.labels(why.reason).inc()
        LOG.warning(
            "stream refused", extra={"data": {"reason": why.reason, "detail": why.detail[:500], "peer": context.peer()}}
        )
        if why.slow and self._slowed < SLOWED:
            self._slowed += 1
            try:
                await asyncio.sleep(self._gate.delay(_host(context)))
            finally:
                self._slowed -= 1
        await context.abort(why.code, f"{why.reason}: {why.detail[:500]}")

    async def _object(self, name: bytes, context: Any) -> bytes:
        """For servers of this deployment that start: only their own account may read all of it."""
        try:
            who = await self._admitted(context)
            if (who.namespace, who.account) != self._peers:
                raise _Refused(
                    grpc.StatusCode.PERMISSION_DENIED,
                    "not_allowed",
                    f"{who.namespace}/{who.account} is no server",
                    slow=True,
                )
            snapshot = self._loader.snapshot
            found = msgspec.json.encode(snapshot.pointer) if snapshot is not None and name == POINTER_NAME else None
            found = found or self._loader.objects.get(name.decode(errors="replace"))
            if found is None:
                raise _Refused(grpc.StatusCode.NOT_FOUND, "no_object", "there is no such object")
            return found
        except _Refused as error:
            await self._refuse(context, error)
            raise


class _Refused(Exception):
    """A call that is not served."""

    def __init__(self, code: Any, reason: str, detail: str, *, slow: bool = False) -> None:
        super().__init__(detail)
        self.code, self.reason, self.detail, self.slow = code, reason, detail, slow


def _shown(pair: Pair) -> Any:
    return grpc.ssl_server_certificate_configuration([(pair.key, pair.certificate)])


def _host(context: Any) -> str:
    """The peer without its port: a new connection is the same peer."""
    return str(context.peer()).rpartition(":")[0]


def _token(context: Any) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str) and value.startswith("Bearer "):
            return value.removeprefix("Bearer ").strip()
    return ""
