"""The world's TLS front has a certificate that the prober believes, sees end, and refuses once it has ended."""

import ssl
from pathlib import Path

import pytest
from crossmesh.adapters.front import Front

from tests.conformance.servers import answer, serve
from world.dataplane.certificates import AUTHORITY, SHOP, Certificates


def test_good_about_to_end_and_ended(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    trust = ssl.create_default_context(cafile=str(tmp_path / AUTHORITY))
    with serve(answer("blue"), certificates.context) as served:
        front = Front(lambda _host, _port: ("127.0.0.1", served.port), trust=trust, also=["127.0.0.0/8"])
        for days in (90, 3):
            certificates.renew(days)
            (sample,) = front.probe(f"https://{SHOP}/color", 1, 2.0, "c")
            assert (sample.error, sample.body) == ("", "blue")
            assert sample.tls_days == pytest.approx(days, abs=0.1)
        certificates.renew(-1)
        (sample,) = front.probe(f"https://{SHOP}/color", 1, 2.0, "c")
        assert sample.error == "tls"
        assert "expired" in sample.detail
