"""Clusters are asked through the proxy that the environment names, as AWS's SDK is, and directly where it says so."""

import base64
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest
from crossmesh.adapters.kubernetes.transport import NotSeen, Transport

VARIABLES = ("https_proxy", "http_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
CLUSTER = "one.gr7.us-east-1.eks.amazonaws.com.invalid"  # no resolver knows it: only a proxy can be asked for it


class Proxy:
    """Keeps what it is asked and refuses it."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.asked: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(4096).decode())
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        """No further request is taken."""
        self._listening.close()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    made = Proxy()
    yield made
    made.close()


def ask() -> None:
    """One request, which nobody can answer."""
    transport = Transport(f"https://{CLUSTER}", ssl.create_default_context(), 1)
    with pytest.raises(NotSeen) as refused:
        transport.request("GET", f"https://{CLUSTER}/version", {}, None, time.time() + 5)
    assert refused.value.cause == "unreachable"


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("HTTPS_PROXY", "http://{}", ""),
        ("https_proxy", "{}", ""),
        ("ALL_PROXY", "http://{}", ""),
        ("HTTPS_PROXY", "http://ann:p%40ss@{}", "ann:p@ss"),
    ],
)
def test_a_cluster_is_asked_through_the_proxy(proxy: Proxy, monkeypatch: pytest.MonkeyPatch, name: str, value: str, secret: str) -> None:
    monkeypatch.setenv(name, value.format(proxy.address))
    ask()
    (asked,) = proxy.asked
    assert asked.startswith(f"CONNECT {CLUSTER}:443 ")
    header = f"proxy-authorization: Basic {base64.b64encode(secret.encode()).decode()}"
    assert (header.lower() in asked.lower()) == bool(secret)


@pytest.mark.parametrize("direct", ["*", ".invalid", CLUSTER])
def test_a_cluster_that_no_proxy_names_is_asked_directly(proxy: Proxy, monkeypatch: pytest.MonkeyPatch, direct: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    monkeypatch.setenv("NO_PROXY", direct)
    ask()
    assert proxy.asked == []


def test_a_proxy_of_plain_http_is_not_asked(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
    ask()
    assert proxy.asked == []


@pytest.mark.parametrize("proxied", ["", "http://127.0.0.1:9"])
def test_as_many_connections_are_kept_as_are_used_at_once(monkeypatch: pytest.MonkeyPatch, proxied: str) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxied)
    kept = Transport(f"https://{CLUSTER}", ssl.create_default_context(), 7)._pools.connection_pool_kw
    assert kept["maxsize"] == 7
