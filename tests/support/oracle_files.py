"""Certificates in files, from one authority, as a user mounts them beside an Envoy."""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Files:
    """`authority` is the file of whom to trust; `pair` gives what the mesh API calls a file certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = _called("authority")
        made = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.authority = str(folder / "authority.pem")
        Path(self.authority).write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def pair(self, name: str, *hosts: str) -> dict[str, str]:
        """The files of one certificate, made when first asked for; `hosts` are its alternative names."""
        chain, secret = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        if not chain.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            own = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts or (name,)])
            chain.write_bytes(self._signed(_called(name), key, own).public_bytes(serialization.Encoding.PEM))
            plain = serialization.NoEncryption()
            secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
        return {"certificateChain": str(chain), "privateKey": str(secret)}

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1))
        made = made.not_valid_after(now + dt.timedelta(days=30)).add_extension(extension, critical=False)
        return made.sign(self._key, hashes.SHA256())


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
