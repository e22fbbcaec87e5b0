"""`python -m world.clusters DIR`: the APIs, control servers, controllers and pods of all clusters, in one process."""

import base64
import datetime
import ipaddress
import json
import secrets
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from world.aws.process import end_group_with_me, lead_group, say_ready
from world.clusters.addresses import Addresses
from world.clusters.auth import Authenticator
from world.clusters.control import Control
from world.clusters.control import serve as serve_control
from world.clusters.controllers import Controllers
from world.clusters.faults import Faults
from world.clusters.pod_identity import PodIdentity
from world.clusters.server import serve
from world.clusters.store import Store
from world.pods.runtime import PodRuntime


def certificate(folder: Path, cluster: str) -> tuple[Path, Path]:
    """A CA of the cluster's own and a serving certificate signed by it; the CA's certificate lies at <cluster>.ca.pem."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def made(subject: str, key: Any, signer: Any, issuer: str, *, ca: bool) -> Any:
        builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=30))
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if ca:
            usage = x509.KeyUsage(*(index in (0, 5, 6) for index in range(9)))
            builder = builder.add_extension(usage, critical=True)
        else:
            addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
            builder = builder.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
            builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        return builder.sign(signer, hashes.SHA256())

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = made(f"{cluster} CA", ca_key, ca_key, f"{cluster} CA", ca=True)
    leaf = made(f"{cluster} API", key, ca_key, f"{cluster} CA", ca=False)
    pem = serialization.Encoding.PEM
    (folder / f"{cluster}.ca.pem").write_bytes(ca.public_bytes(pem))
    cert_file, key_file = folder / f"{cluster}.crt", folder / f"{cluster}.key"
    cert_file.write_bytes(leaf.public_bytes(pem))
    key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return cert_file, key_file


def kubeconfig(folder: Path, cluster: str, port: int, token: str) -> None:
    """What an administrator uses; the context is named after the cluster."""
    ca = base64.b64encode((folder / f"{cluster}.ca.pem").read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": ca}}],
        "users": [{"name": f"{cluster}-admin", "user": {"token": token}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": f"{cluster}-admin"}}],
        "current-context": cluster,
    }
    (folder / f"{cluster}.kubeconfig").write_text(json.dumps(config, indent=2))


def main(folder: Path) -> None:
    """Start all, say ready, end on SIGTERM."""
    lead_group()
    end_group_with_me()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    document = json.loads((folder / "world.json").read_text())
    addresses = Addresses(document["pod_network"])
    runtime = PodRuntime(document)
    runtime.cluster_of = addresses.cluster_of
    for name, cluster in document["clusters"].items():
        token = secrets.token_urlsafe(24)
        cert, key = certificate(folder, name)
        kubeconfig(folder, name, cluster["port"], token)
        store, faults = Store(), Faults()
        auth = Authenticator(document, name, token)
        identity = PodIdentity(document, name, store, auth)
        runtime.processes.environments[name] = identity.environment
        controllers = Controllers(name, store, cluster["nodes"], addresses, runtime)
        server = serve(cluster["port"], store, auth, faults, cert, key)
        control = serve_control(cluster["control"], Control(name, store, faults, controllers, runtime, identity.credentials))
        for target in (server.serve_forever, control.serve_forever, controllers.run):
            threading.Thread(target=target, daemon=True).start()
    say_ready()
    ended.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
