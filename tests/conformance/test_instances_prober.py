"""Instances asked directly, over real sockets: what the diagnosis knows of a pod at first hand."""

from crossmesh.adapters.instances import Instances

from tests.conformance.servers import answer, refusing, serve


def test_an_instance_is_asked_without_a_sampled_trace_and_no_redirect_leads_away() -> None:
    with serve(answer("blue")) as served:
        sample = Instances().ask("127.0.0.1", served.port, "/", 1.0, ("127.0.0.0/8",))
    assert (sample.status, sample.body) == (200, "blue")
    assert b"Sampled=1" not in served.requests[0]
    with serve(answer("", "302 Found", Location="/elsewhere")) as served:
        assert Instances().ask("127.0.0.1", served.port, "/", 1.0, ("127.0.0.0/8",)).status == 302
    assert len(served.requests) == 1
    with refusing() as port:
        assert Instances().ask("127.0.0.1", port, "", 1.0, ("127.0.0.0/8",)).error == "refused"
