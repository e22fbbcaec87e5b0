"""The server of Envoys in a thread, over a folder, with real Envoys beside it: what `crossmesh_xds` does, without a cluster."""

import asyncio
import json
import os
import subprocess
import threading
import time
import urllib.request
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from crossmesh_xds.certificates import Pair, authority
from crossmesh_xds.identity import AUDIENCE, Gate, Review
from crossmesh_xds.loader import Loader, follow
from crossmesh_xds.metrics import Metrics
from crossmesh_xds.server import Place, Server
from crossmesh_xds.sources import Folder

from tests.support.snapshots import Shelf
from world.dataplane.envoys import binary

GOOD = Review(authenticated=True, user="system:serviceaccount:shop:front", audiences=(AUDIENCE,), pod="uid-1")
TOKENS = {
    "good": GOOD,
    "server": Review(authenticated=True, user="system:serviceaccount:crossmesh:crossmesh-xds", audiences=(AUDIENCE,)),
    "other-namespace": Review(authenticated=True, user="system:serviceaccount:other:front", audiences=(AUDIENCE,)),
    "other-audience": Review(authenticated=True, user=GOOD.user, audiences=("sts.amazonaws.com",)),
    "no-audience": Review(authenticated=True, user=GOOD.user),
    "expired": Review(error="token has expired"),
}


async def review(token: str) -> Review:
    return TOKENS.get(token, Review(error="unknown"))


def write(folder: Path, shelf: Shelf) -> None:
    """The objects, then the pointer, as a publisher would."""
    (folder / "objects").mkdir(exist_ok=True)
    for digest, data in shelf.objects.items():
        (folder / "objects" / digest).write_bytes(data)
    (folder / "new").write_text(json.dumps(shelf.pointer))
    (folder / "new").rename(folder / "pointer.json")


class Running:
    """A server on a loopback port. Its authority's certificate is `ca`."""

    def __init__(self, folder: Path, *, port: int = 0, signer: Pair | None = None) -> None:
        self.loop = asyncio.new_event_loop()
        self.signer = signer or authority()
        self.metrics, self.loader = Metrics(), Loader()
        self.told: list[Any] = []
        self._folder, self._wanted = folder, port
        self._ready: Future[int] = Future()
        self._thread = threading.Thread(target=self.loop.run_until_complete, args=(self._run(),), daemon=True)
        self._thread.start()
        self.port = self._ready.result(20)

    async def _run(self) -> None:
        self.ended = asyncio.Event()
        self.server = Server(Place(cluster="east", name="server-0"), Gate(review), self.loader, self.metrics)
        port = await self.server.start(f"127.0.0.1:{self._wanted}", self.signer, ["xds.test"])
        self._ready.set_result(port)
        ticks = asyncio.create_task(self.server.tick(self.ended))
        await follow(self.loader, Folder(self._folder), self.server.take, self.told.append, self.ended)
        await ticks
        await self.server.drain()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.ended.set)
        self._thread.join(20)
        assert not self._thread.is_alive()


def bootstrap(port: int, ca: Path, token: Path, node: str, admin: int) -> dict[str, Any]:
    """As a user's Envoy has it: token by file, renewed when the file is replaced; the server's name is checked."""
    tls = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
    injector = "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector"
    generic = "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic"
    codec_filter = "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
    secret = {"name": "token", "sds_config": {"path_config_source": {"path": str(token), "watched_directory": {"path": str(token.parent)}}}}
    context = {
        "@type": f"{tls}.UpstreamTlsContext",
        "sni": "xds.test",
        "common_tls_context": {
            "validation_context": {
                "trusted_ca": {"filename": str(ca)},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "xds.test"}}],
            }
        },
    }
    cluster = {
        "name": "xds",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}]}],
        },
        "transport_socket": {"name": "tls", "typed_config": context},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {"connection_keepalive": {"interval": "10s", "timeout": "5s"}}},
                "http_filters": [
                    {
                        "name": "token",
                        "typed_config": {
                            "@type": injector,
                            "overwrite": True,
                            "credential": {
                                "name": "generic",
                                "typed_config": {"@type": generic, "credential": secret, "header_value_prefix": "Bearer "},
                            },
                        },
                    },
                    {"name": "codec", "typed_config": {"@type": codec_filter}},
                ],
            }
        },
    }
    ads = {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [
            {"envoy_grpc": {"cluster_name": "xds", "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}}}}
        ],
    }
    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    return {
        "node": {"id": node, "cluster": node},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}},
        "dynamic_resources": {"ads_config": ads, "cds_config": source, "lds_config": source},
        "static_resources": {"clusters": [cluster]},
    }


class Envoy:
    """A real Envoy."""

    def __init__(self, folder: Path, running: Running, node: str, ports: tuple[int, int], token: str = "good") -> None:
        self.admin, self.port = ports
        folder.mkdir(exist_ok=True)
        (folder / "ca.pem").write_bytes(running.signer.certificate)
        self.token(folder, token)
        (folder / "envoy.json").write_text(
            json.dumps(bootstrap(running.port, folder / "ca.pem", folder / "token" / "sds.json", node, self.admin))
        )
        command = [binary(), "-c", str(folder / "envoy.json"), "--concurrency", "1", "--log-level", "warning", "--disable-hot-restart"]
        self.log = folder / "envoy.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @staticmethod
    def token(folder: Path, token: str) -> None:
        (folder / "token").mkdir(exist_ok=True)
        secret = {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "name": "token"}
        secret |= {"generic_secret": {"secret": {"inline_string": token}}}
        (folder / "token" / "new").write_text(json.dumps({"resources": [secret]}))
        (folder / "token" / "new").rename(folder / "token" / "sds.json")

    def get(self, path: str, port: int = 0) -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{port or self.port}{path}", headers={"Host": "shop"})
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def stats(self, wanted: str) -> dict[str, int]:
        text = self.get(f"/stats?filter={wanted}", self.admin)[1]
        return {name: int(value) for name, _, value in (line.partition(": ") for line in text.splitlines()) if value.isdecimal()}

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def until(what: Any, seconds: float = 30.0, said: Any = str) -> Any:
    """The first true answer of `what`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, said()
        time.sleep(0.02)
    return found


os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
