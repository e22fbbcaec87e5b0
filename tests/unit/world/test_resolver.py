"""The world's resolver: a load balancer listens on its Service's ports alone, as a real one does."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from world.dataplane.certificates import SHOP
from world.dataplane.resolver import CLOSED, Resolver

FRONT = {"hostname": "front.elb", "ports": [{"port": 80, "targetPort": 8080}, {"port": 443, "targetPort": 8443}]}
PLAIN = {"hostname": "plain.elb", "ports": [{"port": 80, "targetPort": 8080}]}


@pytest.mark.parametrize(
    ("host", "port", "behind"),
    [
        ("front.elb", "80", 1111),
        ("front.elb", "443", 2222),
        ("front.elb", "8081", CLOSED),
        ("plain.elb", "443", CLOSED),
        (SHOP, "443", 2222),
        ("nobody.elb", "80", None),
    ],
)
def test_where_a_name_leads(host: str, port: str, behind: int | None) -> None:
    balancer = SimpleNamespace(services=lambda: [FRONT, PLAIN])
    resolver = Resolver(balancer, 1111, 2222)  # type: ignore[arg-type]
    asked = SimpleNamespace(query={"host": host, "port": port})
    answer = asyncio.run(resolver.resolve(asked))  # type: ignore[arg-type]
    assert json.loads(str(answer.text)).get("port") == behind
