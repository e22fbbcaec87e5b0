"""X-Ray's model: what is sent in parts is one trace; the map shows who called whom."""

import json

from world.aws.invocations import segment
from world.aws.models.xray import XRay
from world.dataplane.segments import _segments

TRACE, PLACE = "1-67a1b2c3-0123456789abcdef01234567", "00112233aabbccdd"
LINE = {
    "trace": f"Root={TRACE};Parent={PLACE};Sampled=1",
    "cluster": "cds_egress_shop_colorapp-blue_appmesh-demo_http_8080",
    "start": "101.0",
    "ms": "20",
    "code": "200",
    "authority": "colorapp.local",
}


def canary_trace() -> XRay:
    """A canary's request: the function's own segment, the call that it sent by itself, and what front's Envoy wrote down."""
    xray = XRay(lambda: 200.0)
    call = {"id": PLACE, "trace_id": TRACE, "parent_id": "aaaa", "type": "subsegment", "namespace": "remote", "name": "front.elb"}
    own = segment("probe", "r", f"Root={TRACE};Parent=aaaa;Sampled=1", 100.0, 102.0, failed=False)
    documents = [json.dumps({**call, "start_time": 100.5, "end_time": 101.5}), *_segments("mesh/shop/virtualNode/front", LINE), own]
    assert xray.call("PutTraceSegments", {"TraceSegmentDocuments": documents}) == {"UnprocessedTraceSegments": []}
    return xray


def test_a_canarys_trace_goes_from_the_function_over_front_to_a_colour() -> None:
    graph = canary_trace().call("GetServiceGraph", {"StartTime": 0.0, "EndTime": 200.0})["Services"]
    names = {service["ReferenceId"]: service["Name"] for service in graph}
    edges = {(service["Name"], names[edge["ReferenceId"]]) for service in graph for edge in service["Edges"]}
    assert edges == {("probe", "front"), ("front", "colorapp-blue_appmesh-demo")}
    assert [service["Name"] for service in graph if service["Root"]] == ["probe"]


def test_a_subsegment_sent_by_itself_lies_within_its_segment() -> None:
    (trace,) = canary_trace().call("BatchGetTraces", {"TraceIds": [TRACE]})["Traces"]
    documents = [json.loads(one["Document"]) for one in trace["Segments"]]
    assert {document["name"] for document in documents} == {"probe", "front", "colorapp-blue_appmesh-demo"}
    assert [inner["name"] for document in documents if document["name"] == "probe" for inner in document["subsegments"]] == ["front.elb"]


def test_a_subsegment_without_its_segment_is_not_shown() -> None:
    xray = XRay(lambda: 200.0)
    alone = {"id": "b", "trace_id": TRACE, "parent_id": "nobody", "type": "subsegment", "name": "x", "start_time": 1.0, "end_time": 2.0}
    xray.call("PutTraceSegments", {"TraceSegmentDocuments": [json.dumps(alone)]})
    assert xray.call("BatchGetTraces", {"TraceIds": [TRACE]})["Traces"][0]["Segments"] == []
    assert xray.call("GetTraceSummaries", {"StartTime": 0.0, "EndTime": 9.0})["TraceSummaries"] == []
