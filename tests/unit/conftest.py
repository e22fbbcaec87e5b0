"""Sockets are off: what needs one is a conformance test."""

import socket

import pytest


class SocketsAreOff(AssertionError):
    """A unit test reached for the network, if only for loopback."""


def _refuse(*_: object) -> None:
    raise SocketsAreOff("sockets are off in tests/unit: give the code a port in memory, or move the test to tests/conformance")


@pytest.fixture(autouse=True)
def sockets_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection and no listener."""
    for verb in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, verb, _refuse)
