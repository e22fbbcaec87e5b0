"""Envoys that crossmesh's own servers steer: where an Envoy finds them, its token, and the way between the two.

A pod of this world has one loopback address and no redirect, so what a server says to an Envoy is moved to that address on its way (`placing`).
All else passes as it is: an Envoy's token, its requests, versions and refusals, endpoints, and every error of a server.
"""

import asyncio
import base64
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from grpc import aio

from world.clusters.client import Cluster
from world.dataplane import messages
from world.dataplane.configuration import bootstrap
from world.dataplane.names import CLUSTER, LISTENER, Spec, typed
from world.dataplane.placing import placed
from world.dataplane.pods_view import PodsView

AUDIENCE, IMAGE, PORT, NAME = "crossmesh-xds", "crossmesh-xds", 8443, "crossmesh-xds.crossmesh.svc"
RENEW_S = 1800.0
QUIET_S = 0.3  # nothing said for so long, and all acknowledged: an Envoy has what its server has
_SECRET = "crossmesh/crossmesh-xds-authority"
_TLS = "extensions.transport_sockets.tls.v3"
_OPTIONS = "extensions.upstreams.http.v3.HttpProtocolOptions"


class Said:
    """What one Envoy was told: the nonces that it did not answer yet, and when anything was said last."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.at = time.monotonic()
        self.refused: list[str] = []

    def told(self, nonce: str) -> None:
        self.open.add(nonce)
        self.at = time.monotonic()

    def answered(self, nonce: str, error: str) -> None:
        self.open.discard(nonce)
        self.at = time.monotonic()
        if error:
            self.refused.append(error)


class OwnServers:
    """The servers of Envoys in all clusters, and a stream to one of them for each Envoy that asks."""

    def __init__(self, document: dict[str, Any], view: PodsView) -> None:
        self._document, self._view, self._folder = document, view, Path(document["dir"])
        self._said: dict[str, Said] = {}  # by address of the Envoy's pod
        self._tokens: dict[str, float] = {}  # by uid: when it was written

    # --- what an Envoy starts with ---------------------------------------------------------------------------------------------------

    def bootstrap(self, pod: dict[str, Any]) -> Spec:
        """Of the Envoy in a pod; its token is written before."""
        self._renew(pod)
        found = bootstrap(pod["virtual_node"], pod["ip"], self._document["ports"]["own"])
        found["node"] = {
            "id": pod["virtual_node"],
            "cluster": pod["virtual_node"],
            "metadata": {"address": pod["ip"], "cluster": pod["cluster"]},
        }
        file = self._token(pod)
        secret = {"name": "token", "sds_config": {"path_config_source": {"path": str(file), "watched_directory": {"path": str(file.parent)}}}}
        generic = typed("generic", "extensions.http.injected_credentials.generic.v3.Generic", credential=secret, header_value_prefix="Bearer ")
        injector = typed("token", "extensions.filters.http.credential_injector.v3.CredentialInjector", overwrite=True, credential=generic)
        codec = typed("codec", "extensions.filters.http.upstream_codec.v3.UpstreamCodec")
        speaks = {"explicit_http_config": {"http2_protocol_options": {}}, "http_filters": [injector, codec]}
        management = found["static_resources"]["clusters"][0]
        options = {f"envoy.{_OPTIONS}": typed("", _OPTIONS, **speaks)["typed_config"]}
        management["typed_extension_protocol_options"] = options
        back_off = {"retry_back_off": {"base_interval": "0.2s", "max_interval": "2s"}}
        stream = {
            "api_type": "GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": True,
            "grpc_services": [{"envoy_grpc": {"cluster_name": management["name"], "retry_policy": back_off}}],
        }
        source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
        found["dynamic_resources"] = {"ads_config": stream, "cds_config": source, "lds_config": source}
        return found

    async def renew(self) -> None:
        """The kubelet's part: a new token for each pod long before its token ends, until cancelled."""
        while True:
            await asyncio.sleep(30)
            for pod in self._view.pods:
                if pod["uid"] in self._tokens:
                    with contextlib.suppress(OSError):
                        await asyncio.to_thread(self._renew, pod)

    def _renew(self, pod: dict[str, Any]) -> None:
        if time.monotonic() - self._tokens.get(pod["uid"], float("-inf")) < RENEW_S:
            return
        spec = {"audiences": [AUDIENCE], "expirationSeconds": 3600, "boundObjectRef": {"kind": "Pod", "name": pod["name"], "uid": pod["uid"]}}
        asked = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec}
        cluster = Cluster(self._document, pod["cluster"])
        answer = cluster.call("POST", f"{cluster.path('ServiceAccount', pod['namespace'], pod['account'])}/token", asked)
        secret = {"@type": f"type.googleapis.com/envoy.{_TLS}.Secret", "name": "token"}
        secret |= {"generic_secret": {"secret": {"inline_string": answer["status"]["token"]}}}
        file = self._token(pod)
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps({"resources": [secret]}))
        fresh.rename(file)
        self._tokens[pod["uid"]] = time.monotonic()

    def _token(self, pod: dict[str, Any]) -> Path:
        return self._folder / "tokens" / pod["uid"] / "token.json"

    # --- streams -----------------------------------------------------------------------------------------------------------------------

    async def serve(self) -> aio.Server:
        """Take Envoys' streams in."""
        server = aio.server(options=[("grpc.so_reuseport", 0)])
        handler = grpc.stream_stream_rpc_method_handler(self._stream)
        service, _, method = messages.STREAM.strip("/").rpartition("/")
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        server.add_insecure_port(f"127.0.0.1:{self._document['ports']['own']}")
        await server.start()
        return server

    async def _stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        first = await anext(aiter(requests), b"")
        about = messages.request(first).node.metadata
        cluster, address = str(about["cluster"]), str(about["address"])
        sent = [(key, value) for key, value in context.invocation_metadata() if key == "authorization"]
        target = self._server(cluster)
        if not target:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"no server of Envoys is ready in {cluster}")
        try:
            authority = await asyncio.to_thread(self._authority, cluster)
        except OSError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"no authority in {cluster}: {error}")
        said = self._said[address] = Said()
        options = [("grpc.ssl_target_name_override", NAME), ("grpc.max_receive_message_length", 1 << 27)]
        async with aio.secure_channel(target, grpc.ssl_channel_credentials(authority), options) as channel:
            call = channel.stream_stream(messages.STREAM)(metadata=sent)
            writing = asyncio.create_task(_forward(call, first, requests, said))
            try:
                async for data in call:
                    moved, nonce = self._moved(data, address)
                    said.told(nonce)
                    yield moved
                await context.abort(await call.code(), await call.details())
            except aio.AioRpcError as error:
                await context.abort(error.code(), error.details())
            finally:
                writing.cancel()
                call.cancel()
                if self._said.get(address) is said:
                    del self._said[address]

    def _moved(self, data: bytes, address: str) -> tuple[bytes, str]:
        found = messages.response(data)
        if found.type_url not in (LISTENER, CLUSTER):
            return data, found.nonce
        for packed in found.resources:
            value = messages.plain(packed)
            if found.type_url == CLUSTER and "cluster_type" not in value:
                value.setdefault("type", "STATIC")
            messages.pack(packed, placed({found.type_url: [value]}, address, self._folder, polled=False)[found.type_url][0])
        return found.SerializeToString(), found.nonce

    def _pods(self, cluster: str) -> list[dict[str, Any]]:
        named = (pod for pod in self._view.pods if pod["cluster"] == cluster and pod["ip"])
        return [pod for pod in named if pod["image"].rpartition("/")[2].partition(":")[0] == IMAGE and not pod["terminating"]]

    def _server(self, cluster: str) -> str:
        """One of the cluster's servers that listen, any of them, as a headless Service gives them."""
        ready = [pod for pod in self._pods(cluster) if pod["ready"]]
        return f"{random.choice(ready)['ip']}:{PORT}" if ready else ""

    def _authority(self, cluster: str) -> bytes:
        found = Cluster(self._document, cluster).get("Secret", *_SECRET.split("/"))
        return base64.b64decode(found["data"]["ca.crt"])

    # --- what is known of them -----------------------------------------------------------------------------------------------------------

    async def settled(self, addresses: Callable[[], list[str]], number: int, seconds: float) -> bool:
        """Whether, in time, every server serves this snapshot or a later one, and every Envoy acknowledged all it was told."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if await self._all_serve(number) and all(self._has_all(address) for address in addresses()):
                return True
            await asyncio.sleep(0.05)
        return False

    def refusals(self) -> dict[str, list[str]]:
        """What Envoys refused, by their addresses."""
        return {address: said.refused for address, said in self._said.items() if said.refused}

    def _has_all(self, address: str) -> bool:
        said = self._said.get(address)
        return said is not None and not said.open and time.monotonic() - said.at > QUIET_S

    async def _all_serve(self, number: int) -> bool:
        pods = [pod for cluster in self._document["clusters"] for pod in self._pods(cluster)]
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
                for pod in pods:
                    async with session.get(f"http://{pod['ip']}:8081/metrics") as answer:
                        if _number(await answer.text()) < number:
                            return False
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        return bool(pods)


def _number(metrics: str) -> int:
    """The snapshot that a server serves, 0 where it has none."""
    for line in metrics.splitlines():
        if line.startswith("crossmesh_xds_snapshot_number "):
            return int(float(line.split()[1]))
    return 0


async def _forward(call: Any, first: bytes, requests: AsyncIterator[bytes], said: Said) -> None:
    await call.write(first)
    async for data in requests:
        about = messages.request(data)
        said.answered(about.response_nonce, about.error_detail.message)
        await call.write(data)
    await call.done_writing()
