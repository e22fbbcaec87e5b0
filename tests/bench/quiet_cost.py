"""What a month of quiet looks costs at list prices (us-east-1, read 2026-11): requests counted on the deployed step, duration measured in the world.

The world answers a call in a few milliseconds where AWS takes 10 to 30, so the duration's price is told apart, with what 100 ms more would cost.
"""

import json
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

from crossmesh.steps import look
from crossmesh.steps.drive import drive

from tests.bench.watched import Watched
from tests.builders import context, node, pod
from tests.passes import MemoryWorld
from world.aws.clients import client

LOOKS = 30 * 24 * 60  # one a minute for 30 days
LAMBDA_GB_S, LAMBDA_REQUEST = 0.0000166667, 0.20 / 1e6
EXPRESS_REQUEST, EXPRESS_GB_S, EXPRESS_GB = 1.00 / 1e6, 0.00001667, 64 / 1024
S3_GET, S3_PUT = 0.0004 / 1e3, 0.005 / 1e3
DYNAMO_READ, DYNAMO_WRITE = 0.125 / 1e6, 0.625 / 1e6  # per unit of 4 KB read consistently, 1 KB written
DISCOVERY = 1.00 / 1e6
GB = 1.0  # memory of the look function


class Counted:
    """A port with its calls priced as they happen."""

    def __init__(self, port: Any, price: Callable[[str, tuple[Any, ...], Any], float]) -> None:
        self._port, self._price, self.cost, self.calls = port, price, 0.0, 0

    def __getattr__(self, name: str) -> Any:
        def ask(*args: Any) -> Any:
            answer = getattr(self._port, name)(*args)
            self.cost += self._price(name, args, answer)
            self.calls += 1
            return answer

        return ask


def _state(name: str, args: tuple[Any, ...], answer: Any) -> float:
    if name.startswith("read"):
        return DYNAMO_READ * math.ceil(max(1, len(answer) if isinstance(answer, bytes) else 1) / 4096)
    return DYNAMO_WRITE * math.ceil(max(1, len(args[1]) if isinstance(args[1], bytes) else 1) / 1024)


def _runs(name: str, args: tuple[Any, ...], answer: Any) -> float:
    return S3_GET if name == "get" else S3_PUT


def requests_of_a_look() -> tuple[dict[str, int], dict[str, float]]:
    """Calls and dollars of one quiet look: two clusters, three virtual nodes, two Cloud Map services, as in the walkthrough."""
    world = MemoryWorld()
    where = context(node("front", service="front"), node("blue"), node("red"), clusters=("eksc1", "eksc2"))
    for cluster, version in (("eksc1", "front"), ("eksc2", "blue"), ("eksc2", "red")):
        world.clusters.put(cluster, pod(version, version))
    world.run(where)
    while world.look(where).decision != "quiet":
        world.run(where)
    ports = dict(world.ports)
    counted = {
        "State": Counted(world.state, _state),
        "RunStore": Counted(world.runs, _runs),
        "Registry": Counted(world.registry, lambda *_: DISCOVERY),
    }
    answer = drive(look.run(look.Request(id="quiet", cause="schedule"), where), ports | counted)
    assert answer.decision == "quiet"
    return {name: port.calls for name, port in counted.items()}, {name: port.cost for name, port in counted.items()}


def quiet_cost(world: Watched, row: Callable[[str, str, str], None], times: int = 15) -> None:
    """Requests counted in memory, duration of the warm deployed function measured from outside."""
    world.rest()
    function = next(
        f["FunctionName"]
        for f in client(world.document, "lambda").list_functions(MaxItems=50)["Functions"]
        if "LookFunction" in f["FunctionName"]
    )
    asked = client(world.document, "lambda")
    taken = []
    for index in range(times):
        began = time.perf_counter()
        answer = asked.invoke(FunctionName=function, Payload=json.dumps({"id": f"bench-{index}", "cause": "bench"}).encode())
        assert json.loads(answer["Payload"].read())["decision"] == "quiet"
        taken.append(time.perf_counter() - began)
        time.sleep(0.2)
    seconds = statistics.median(taken)
    calls, costs = requests_of_a_look()
    duration = LOOKS * seconds * GB * LAMBDA_GB_S
    express = LOOKS * (EXPRESS_REQUEST + math.ceil(seconds * 10) / 10 * EXPRESS_GB * EXPRESS_GB_S)
    storage = LOOKS * (costs["State"] + costs["RunStore"])
    total = duration + LOOKS * LAMBDA_REQUEST + express + storage
    told = f"${total:.2f}: Lambda ${duration + LOOKS * LAMBDA_REQUEST:.2f} ({seconds * 1000:.0f} ms a look, 1 GB;"
    told += f" 100 ms more: ${LOOKS * 0.1 * LAMBDA_GB_S:.2f})"
    told += f", Step Functions Express ${express:.2f}, DynamoDB {calls['State']} and S3 {calls['RunStore']} requests a look ${storage:.2f}"
    told += f"; besides, at most ${LOOKS * costs['Registry']:.2f} for {calls['Registry']} revision calls a look"
    row("a month of quiet looks, list prices", "< $2", told)
