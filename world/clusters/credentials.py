"""What a cluster shows and asks for: a CA of its own, serving certificates signed by it, and its administrator's kubeconfig."""

import base64
import datetime
import ipaddress
import json
from pathlib import Path
from typing import Any


def certificate(folder: Path, cluster: str, *hosts: str) -> tuple[Path, Path]:
    """A CA of the cluster's own and a serving certificate signed by it, for 127.0.0.1, localhost and `hosts`; the CA's lies at <cluster>.ca.pem."""
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
            addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), *(x509.DNSName(host) for host in ("localhost", *hosts))]
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
