"""STS as aws-iam-authenticator meets it: HTTPS at AWS's own host name, ended on loopback, answered by the world's STS.

The authenticator is the unmodified one and knows no endpoint but AWS's. It does heed HTTPS_PROXY and SSL_CERT_FILE, so it is led here: CONNECT to
an STS host is ended with a certificate of the world's, anything else is refused, and nothing leaves the machine.
"""

import json
import socketserver
import ssl
import urllib.parse
from pathlib import Path
from typing import Any

from world.clusters.auth import caller_identity
from world.clusters.credentials import certificate


class _Door(socketserver.StreamRequestHandler):
    """One connection: CONNECT, then one request inside it."""

    timeout = 10
    sts: str
    hosts: tuple[str, ...]
    tls: ssl.SSLContext

    def handle(self) -> None:
        """Refuse what is not for STS."""
        verb, target = [*self.rfile.readline().decode("latin-1").split(), "", ""][:2]
        while self.rfile.readline().strip():
            pass
        if verb != "CONNECT" or target not in {f"{host}:443" for host in self.hosts}:
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with self.tls.wrap_socket(self.connection, server_side=True) as inside, inside.makefile("rb") as lines:
            path = lines.readline().decode("latin-1").split()[1]
            headers = {}
            while line := lines.readline().decode("latin-1").strip():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            status, body = self._identity(headers.get("host", ""), urllib.parse.urlsplit(path).query, headers.get("x-k8s-aws-id", ""))
            head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            inside.sendall(head.encode() + body)

    def _identity(self, host: str, query: str, cluster: str) -> tuple[int, bytes]:
        """STS answers JSON to whoever accepts it, as the authenticator does; the world's speaks XML."""
        found = caller_identity(self.sts, host, query, cluster)
        if found is None:
            return 403, json.dumps({"Error": {"Code": "SignatureDoesNotMatch"}}).encode()
        return 200, json.dumps({"GetCallerIdentityResponse": {"GetCallerIdentityResult": found}}).encode()


class Server(socketserver.ThreadingTCPServer):
    """On loopback."""

    daemon_threads = True
    allow_reuse_address = True


def serve(document: dict[str, Any], folder: Path) -> Server:
    """A bound server; the caller runs `serve_forever`. The CA that its certificates are of lies at <folder>/sts.ca.pem."""
    hosts = (f"sts.{document['region']}.amazonaws.com", "sts.amazonaws.com")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate(folder, "sts", *hosts))
    about = {"sts": f"http://127.0.0.1:{document['ports']['ministack']}", "hosts": hosts, "tls": tls}
    return Server(("127.0.0.1", 0), type("Door", (_Door,), about))
