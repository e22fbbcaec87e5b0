"""A cluster's API that answers as a test tells it to, over real TLS on loopback: what only a broken or hostile one does."""

import datetime
import gzip
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from crossmesh.adapters.eks import Access, Eks
from crossmesh.adapters.kubernetes.clusters import KubernetesClusters
from crossmesh.core.settings import ClusterSettings

from world.clusters.credentials import certificate

SETTINGS = ClusterSettings(name="c", eks="c", region="us-east-1")
UID = "7e1b1ff0-9a58-4f7b-8a9f-0f3c5b1a2d3e"
Answer = Callable[[Any], None]  # writes to the connection whatever it likes


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    """A sound HTTP answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    shown = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n{shown}\r\n"
    return lambda wire: wire.sendall(head.encode() + data)


def system(uid: str = UID) -> Answer:
    """kube-system."""
    return answer({"metadata": {"name": "kube-system", "uid": uid}})


def pod(name: str = "p1", **changes: Any) -> dict[str, Any]:
    """A ready pod; `changes`: of metadata, but for `ip` and `node`."""
    conditions = [{"type": kind, "status": "True"} for kind in ("ContainersReady", "Ready")]
    status, spec = {"phase": "Running", "podIP": changes.pop("ip", "10.0.0.1"), "conditions": conditions}, {"nodeName": changes.pop("node", "")}
    return {
        "metadata": {"name": name, "namespace": "demo", "uid": UID, "labels": {"version": "blue"}} | changes,
        "spec": spec,
        "status": status,
    }


def pods(*items: Any, version: str = "7", **metadata: Any) -> dict[str, Any]:
    """A page."""
    return {"kind": "PodList", "metadata": {"resourceVersion": version, **metadata}, "items": list(items)}


class Api:
    """`paths`: beginning of a path -> its answer; the first that fits. `asked`: every path in turn."""

    def __init__(self, folder: Path, paths: dict[str, Answer], tls: tuple[Path, Path] | None = None, host: str = "127.0.0.1") -> None:
        cert, key = tls or certificate(folder, "c")
        self.ca = (folder / "c.ca.pem").read_bytes()
        deployments = answer({"kind": "DeploymentList", "metadata": {}})
        self.paths = {"/api/v1/namespaces/kube-system": system(), "/apis/apps/v1/namespaces/appmesh-system/": deployments, **paths}
        self.asked: list[str] = []
        self.plain = False  # answers in clear what comes to it over TLS
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(cert, key)
        self._listener = socket.create_server((host, 0))
        self.host = host
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End everything. Connections are shut down here and closed by the threads that serve them: a number that is free while another thread
        still writes to it would be the next connection's.
        """
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for wire in tuple(self._open):
            with suppress(OSError):
                socket.socket.shutdown(wire, socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                wire, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(wire,), daemon=True).start()

    def _serve(self, wire: socket.socket) -> None:
        self._open.append(wire)
        try:
            if not self.plain:
                clear, wire = wire, self._context.wrap_socket(wire, server_side=True)
                self._open[self._open.index(clear)] = wire
            self._answer(wire)
        except (OSError, ValueError):
            pass
        finally:
            with suppress(ValueError):
                self._open.remove(wire)
            wire.close()

    def _answer(self, wire: Any) -> None:
        if self.plain:
            wire.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return
        while head := self._head(wire):
            path = head.split()[1]
            self.asked.append(path)
            said = next((said for start, said in self.paths.items() if path.startswith(start)), answer({"message": "none"}, 404))
            said(wire)

    def _head(self, wire: Any) -> str:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = wire.recv(65_536)
            if not piece:
                return ""
            data += piece
        return data.decode()


class OneEks(Eks):
    """EKS for it: no DescribeCluster, no signature."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def access(self, cluster: ClusterSettings, now: float) -> Access:
        return Access(endpoint=f"https://{self.api.host}:{self.api.port}", ca=self.api.ca)

    def token(self, cluster: ClusterSettings, now: float) -> str:
        return "token"

    def forget(self, cluster: ClusterSettings) -> None: ...


@contextmanager
def serving(
    folder: Path, paths: dict[str, Answer], tls: tuple[Path, Path] | None = None, host: str = "127.0.0.1"
) -> Iterator[tuple[Api, KubernetesClusters]]:
    """The API and an adapter for it."""
    api = Api(folder, paths, tls, host)
    try:
        yield api, KubernetesClusters("us-east-1", OneEks(api))
    finally:
        api.close()


def bomb(megabytes: int) -> bytes:
    """A page whose spaces take so many megabytes once decoded."""
    page = json.dumps(pods()).encode()
    return gzip.compress(page[:-1] + b" " * (megabytes * 1_000_000) + page[-1:], 1)


def old_authority(folder: Path) -> tuple[Path, Path]:
    """A certificate and authority as EKS made them up to Kubernetes 1.16: without key identifiers."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)

    def made(subject: str, key: Any, signer: Any, *, ca: bool) -> Any:
        builder = x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        builder = builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1)).add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), _loopback(x509)]), False)
        return builder.sign(signer, hashes.SHA256())

    ca_key, key = (rsa.generate_private_key(65_537, 2_048) for _ in range(2))
    pem = serialization.Encoding.PEM
    (folder / "c.ca.pem").write_bytes(made("kubernetes", ca_key, ca_key, ca=True).public_bytes(pem))
    cert_file, key_file = folder / "old.crt", folder / "old.key"
    cert_file.write_bytes(made("kube-apiserver", key, ca_key, ca=False).public_bytes(pem))
    key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return cert_file, key_file


def _loopback(x509: Any) -> Any:
    import ipaddress

    return x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
