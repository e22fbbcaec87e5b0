"""A certificate authority of the server's own, and the leaf that it shows. No key ever leaves the
Secret and the process.
"""

from datetime import UTC, datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS, LEAF_DAYS = 3_650, 30
RENEWED_DAYS = 10  # before a leaf ends
_BACK = timedelta(minutes=5)  # clocks differ


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        """Without the key: values end in logs."""
        return "Pair"


def authority(now: datetime | None = None) -> Pair:
    """A new authority."""
    begin = (now or datetime.now(UTC)) - _BACK
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "crossmesh-xds")]),
    )
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = (
        _builder(name, name, key.public_key(), begin, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pair(made, key)


def leaf(signer: Pair, names: list[str], now: datetime | None = None) -> Pair:
    """A leaf for these DNS names."""
    parent = x509.load_pem_x509_certificate(signer.certificate)
    parent_key = serialization.load_pem_private_key(signer.key, None)
    assert isinstance(parent_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(parent_key.public_key())
    made = (
        _builder(x509.Name([]), parent.subject, key.public_key(), (now or datetime.now(UTC)) - _BACK, LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(parent_key, hashes.SHA256())
    )
    return _pair(made, key)


def due(pair: Pair, now: datetime | None = None) -> bool:
    """Whether a leaf should be renewed."""
    end = x509.load_pem_x509_certificate(pair.certificate).not_valid_after_utc
    return end - (now or datetime.now(UTC)) < timedelta(days=RENEWED_DAYS)


def _builder(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begin: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _pair(made: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    pem = serialization.Encoding.PEM
    return Pair(
        certificate=made.public_bytes(pem),
        key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
