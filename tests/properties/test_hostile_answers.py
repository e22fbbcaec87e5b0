"""Whatever Kubernetes, AWS or an event says: no crash without a clear error, and nothing is written on an answer that makes no sense."""

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from crossmesh import runtime
from crossmesh.adapters.cloud_map import CloudMap
from crossmesh.core.observed import Seen, Unseen
from crossmesh.errors import CrossmeshError
from crossmesh.steps import apply_registry, look, release_lease, take_lease
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hostile_answers import GOOD, REGISTERED, TOKEN, observe, pod

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "metadata", "items", "uid", "x"]), inner, max_size=4),
    max_leaves=10,
)


def test_true_answers_are_believed() -> None:
    """Otherwise the lies below would prove nothing."""
    view = observe([(200, json.dumps(answer).encode()) for answer in GOOD])
    assert isinstance(view, Seen), view
    assert {pod.name for pod in view.pods} == {"a", "b"}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([200, 200, 200, 401, 403, 404, 410, 429, 500]), JSON.map(json.dumps).map(str.encode) | st.binary(max_size=40)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_answer_of_kubernetes_raises_and_none_of_nonsense_is_an_empty_cluster(answers: list[tuple[int, bytes]]) -> None:
    view = observe(answers)
    assert isinstance(view, Seen | Unseen)
    if isinstance(view, Seen):
        assert set(view.gone) <= {ref.uid for ref in REGISTERED}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_spoiled_list_is_never_believed_to_have_lost_pods(data: st.DataObject) -> None:
    """The good answers with some bytes cut off or replaced; a GET of a missing pod answers that it is there."""
    bodies = [json.dumps(answer).encode() for answer in GOOD]
    spoiled = data.draw(st.integers(0, 1))
    at = data.draw(st.integers(0, len(bodies[spoiled]) - 1))
    bodies[spoiled] = bodies[spoiled][:at] + data.draw(st.binary(max_size=3)) + (b"" if data.draw(st.booleans()) else bodies[spoiled][at + 1 :])
    there = json.dumps(pod("a", "u1")).encode()
    also = json.dumps(pod("b", "u2")).encode()
    view = observe([(200, bodies[0]), (200, bodies[1]), (200, there), (200, also)])
    if isinstance(view, Seen):
        # Seen means that the list named both pods or that a GET said of a missing one that another uid stands there now
        assert len(view.pods) + len(view.gone) >= 2


def test_no_token_is_told_to_anybody(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for status in (200, 401, 500):
            view = observe([(status, b'{"message": "token k8s-aws is not good"}')])
            assert TOKEN not in repr(view)
    assert TOKEN not in caplog.text


# --- AWS ----------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile() -> Iterator[tuple[CloudMap, Callable[[int, bytes], None]]]:
    """The real adapter on the real SDK, against a server that answers whatever it was told to."""
    told: list[tuple[int, bytes]] = [(200, b"{}")]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = told[0]
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        patch.setenv("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "x" * 20)
        adapter = CloudMap("us-east-1")

        def tell(status: int, body: bytes) -> None:
            told[0] = status, body

        yield adapter, tell
    server.shutdown()


CALLS: dict[str, Callable[[CloudMap], object]] = {
    "find_services": lambda r: r.find_services((("n", "s"),), {}),
    "revision": lambda r: r.revision("n", "s"),
    "list_instances": lambda r: r.list_instances("srv-1"),
    "register": lambda r: r.register("srv-1", "i", {"a": "b"}, "t"),
    "deregister": lambda r: r.deregister("srv-1", "i"),
    "operation": lambda r: r.operation("op"),
    "discover": lambda r: r.discover("n", "s"),
}
WORDS = st.sampled_from(
    ["Instances", "OperationId", "Operation", "Status", "Namespaces", "Services", "InstancesRevision", "Id", "__type", "message"]
)
BODIES = st.recursive(
    st.none() | st.integers(0, 3) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
).map(json.dumps).map(str.encode) | st.binary(max_size=30)


@pytest.mark.parametrize("name", sorted(CALLS))
@settings(max_examples=15, deadline=None)
@given(status=st.sampled_from([200, 200, 200, 400, 403, 404]), body=BODIES)
def test_no_answer_of_aws_crashes_an_adapter(
    hostile: tuple[CloudMap, Callable[[int, bytes], None]], name: str, status: int, body: bytes
) -> None:
    adapter, tell = hostile
    tell(status, body)
    with contextlib.suppress(CrossmeshError):
        CALLS[name](adapter)


# --- events -------------------------------------------------------------------------------------------------------------------------------

EVENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["run", "id", "plan", "stage", "part", "cluster", "canary"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(event=EVENTS)
def test_no_event_gets_past_the_door_without_being_what_the_step_takes(event: Any) -> None:
    """A wrong event is refused with the field that is wrong, before anything is asked of the world."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "live_context", _reached)
        for step in (look, apply_registry, release_lease, take_lease):
            with contextlib.suppress(msgspec.ValidationError, _ReachedError):
                runtime.entrypoint(step.TASK)(event, None)


class _ReachedError(Exception):
    """The event was right, so the step would have begun."""


def _reached() -> Any:
    raise _ReachedError
