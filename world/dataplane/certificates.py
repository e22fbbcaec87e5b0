"""The certificate of the front's TLS listener: for a name of one's own, from an authority that the functions trust; good, about to end, or ended."""

import datetime as dt
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SHOP = "shop.example.test"
AUTHORITY = "front.ca.pem"


class Certificates:
    """`context` is what the listener serves with; a renewed certificate holds for connections from then on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "front authority")])
        signs = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        own = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        authority = self._signed(self._name, self._key, 3650, x509.BasicConstraints(ca=True, path_length=None), signs, own)
        (folder / AUTHORITY).write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.renew(90)

    def renew(self, days: float) -> None:
        """A certificate that ends in so many days; negative: has ended."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SHOP)])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = self._signed(subject, key, days, x509.SubjectAlternativeName([x509.DNSName(SHOP)]), issuer)
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file = self._folder / "front.pem"
        file.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
        self.context.load_cert_chain(file)

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: float, *more: x509.ExtensionType) -> x509.Certificate:
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(ends - dt.timedelta(days=max(days, 0) + 30))
            .not_valid_after(ends)
        )
        for extension in more:
            made = made.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints | x509.KeyUsage))
        return made.sign(self._key, hashes.SHA256())
