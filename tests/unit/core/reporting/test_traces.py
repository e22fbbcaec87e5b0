"""Segment documents as a tree: calls hang below the segment that made them, what answered below the call."""

from crossmesh.core.reporting.traces import Span, spans

TRACE = "1-67a1b2c3-0123456789abcdef01234567"


def shape(found: tuple[Span, ...]) -> list[object]:
    return [[span.name, *shape(span.children)] for span in found]


def segment(ident: str, name: str, parent: str = "", **more: object) -> dict[str, object]:
    return {
        "id": ident,
        "trace_id": TRACE,
        "name": name,
        "start_time": 1.0,
        "end_time": 2.0,
        **({"parent_id": parent} if parent else {}),
        **more,
    }


def test_a_canarys_request_goes_from_function_over_load_balancer_and_front_to_a_colour() -> None:
    call = {"id": "c1", "name": "front.elb", "namespace": "remote", "start_time": 1.1, "end_time": 1.9}
    out = {"id": "c2", "name": "blue", "namespace": "remote", "start_time": 1.3, "end_time": 1.5, "http": {"response": {"status": 200}}}
    documents = [segment("s3", "blue", "c2"), segment("s2", "front", "c1", subsegments=[out]), segment("s1", "probe", subsegments=[call])]
    assert shape(spans(documents)) == [["probe", ["front.elb", ["front", ["blue", ["blue"]]]]]]


def test_a_subsegment_sent_by_itself_is_a_call_and_local_ones_are_passed_through() -> None:
    local = {"id": "l1", "name": "Invocation", "start_time": 1.0, "end_time": 2.0}
    call = segment("c1", "front.elb", "l1", type="subsegment", namespace="remote")
    found = spans([call, segment("s1", "probe", subsegments=[local])])
    assert shape(found) == [["probe", ["front.elb"]]]
    assert found[0].children[0].origin == "call"


def test_a_segment_whose_parent_is_not_here_is_a_root_and_roots_are_in_order_of_time() -> None:
    documents = [segment("b", "late", "elsewhere", start_time=5.0), segment("a", "early", fault=True, http={"response": {"status": 503}})]
    found = spans(documents)
    assert [span.name for span in found] == ["early", "late"]
    assert (found[0].fault, found[0].status, found[0].milliseconds) == (True, 503, 1000.0)


def test_what_has_no_id_is_left_out_and_one_id_is_shown_once() -> None:
    assert shape(spans([{"name": "x"}, segment("a", "one"), segment("a", "again")])) == [["one"]]
