"""X-Ray: segments as they were put, the summaries and the service map that follow from them, and nothing else."""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from world.aws.models.errors import AwsError

Document = dict[str, Any]
OPERATIONS = ("PutTraceSegments", "GetTraceSummaries", "BatchGetTraces", "GetServiceGraph")
TRACES_KEPT = 5_000
NEEDED = ("id", "trace_id", "name", "start_time")


class XRay:
    """`call` is the whole interface. Traces are kept by id, the oldest are forgotten."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.traces: OrderedDict[str, dict[str, Document]] = OrderedDict()
        self._handlers = {
            "PutTraceSegments": self._put,
            "GetTraceSummaries": self._summaries,
            "BatchGetTraces": self._batch,
            "GetServiceGraph": self._graph,
        }

    def call(self, operation: str, request: Document) -> Document:
        """Raises AwsError."""
        if operation not in self._handlers:
            raise AwsError("UnknownOperationException", f"This X-Ray has no {operation}.")
        return self._handlers[operation](request)

    def _put(self, request: Document) -> Document:
        refused = []
        for text in request["TraceSegmentDocuments"]:
            try:
                segment = json.loads(text)
                missing = [name for name in NEEDED if not segment.get(name)]
                if missing or ("end_time" not in segment and not segment.get("in_progress")):
                    raise ValueError(f"missing {', '.join(missing) or 'end_time'}")
            except (ValueError, AttributeError) as error:
                refused.append({"ErrorCode": "ParseError", "Message": str(error)})
                continue
            trace = self.traces.setdefault(segment["trace_id"], {})
            trace[segment["id"]] = segment
            if len(self.traces) > TRACES_KEPT:
                self.traces.popitem(last=False)
        return {"UnprocessedTraceSegments": refused}

    def _within(self, request: Document) -> Iterator[tuple[str, list[Document]]]:
        start, end = request["StartTime"], request["EndTime"]
        if end < start:
            raise AwsError("InvalidRequestException", "EndTime is before StartTime.")
        for trace_id, segments in self.traces.items():
            first = min(segment["start_time"] for segment in segments.values())
            whole = _assembled(segments)
            if whole and start <= first <= end:
                yield trace_id, sorted(whole, key=lambda segment: segment["start_time"])

    def _summaries(self, request: Document) -> Document:
        summaries = [_summary(trace_id, segments) for trace_id, segments in self._within(request)]
        return {"TraceSummaries": summaries, "ApproximateTime": self.clock(), "TracesProcessedCount": len(summaries)}

    def _batch(self, request: Document) -> Document:
        found, missing = [], []
        for trace_id in request["TraceIds"]:
            if trace_id not in self.traces:
                missing.append(trace_id)
                continue
            segments = {segment["id"]: segment for segment in _assembled(self.traces[trace_id])}
            found.append(
                {
                    "Id": trace_id,
                    "Duration": _duration(list(segments.values())),
                    "LimitExceeded": False,
                    "Segments": [{"Id": segment["id"], "Document": json.dumps(segment)} for segment in segments.values()],
                }
            )
        return {"Traces": found, "UnprocessedTraceIds": missing}

    def _graph(self, request: Document) -> Document:
        nodes: dict[tuple[str, str], Document] = {}
        edges: dict[tuple[tuple[str, str], tuple[str, str]], Document] = {}
        for _, segments in self._within(request):
            _add_trace(segments, nodes, edges)
        numbers = {key: place for place, key in enumerate(nodes)}
        services = [
            {
                "ReferenceId": numbers[key],
                "Name": key[0],
                "Names": [key[0]],
                **({"Type": key[1]} if key[1] else {}),
                "Root": node["root"],
                "State": "active",
                "StartTime": node["start"],
                "EndTime": node["end"],
                "SummaryStatistics": _statistics(node),
                "Edges": [
                    {
                        "ReferenceId": numbers[target],
                        "StartTime": edge["start"],
                        "EndTime": edge["end"],
                        "SummaryStatistics": _statistics(edge),
                    }
                    for (source, target), edge in edges.items()
                    if source == key
                ],
            }
            for key, node in nodes.items()
        ]
        return {"StartTime": request["StartTime"], "EndTime": request["EndTime"], "Services": services, "ContainsOldGroupVersions": False}


def _assembled(documents: dict[str, Document]) -> list[Document]:
    """Segments with the subsegments that were sent by themselves put below their parent; one without a parent (yet) is left out, as X-Ray does."""
    copies = {ident: {**document, "subsegments": list(document.get("subsegments", ()))} for ident, document in documents.items()}
    for document in copies.values():
        parent = copies.get(document.get("parent_id", ""))
        if document.get("type") == "subsegment" and parent is not None:
            parent["subsegments"].append(document)
    return [document for document in copies.values() if document.get("type") != "subsegment"]


def _duration(segments: list[Document]) -> float:
    ends = [segment["end_time"] for segment in segments if "end_time" in segment]
    return max(0.0, max(ends) - min(segment["start_time"] for segment in segments)) if ends else 0.0


def _summary(trace_id: str, segments: list[Document]) -> Document:
    root = next((segment for segment in segments if not segment.get("parent_id")), segments[0])
    http = root.get("http", {})
    request, response = http.get("request", {}), http.get("response", {})
    summary: Document = {
        "Id": trace_id,
        "StartTime": root["start_time"],
        "Duration": _duration(segments),
        "ResponseTime": max(0.0, root.get("end_time", root["start_time"]) - root["start_time"]),
        "HasFault": any(segment.get("fault", False) for segment in segments),
        "HasError": any(segment.get("error", False) for segment in segments),
        "HasThrottle": any(segment.get("throttle", False) for segment in segments),
        "IsPartial": any(segment.get("in_progress", False) for segment in segments),
        "Http": {
            name: value
            for name, value in (
                ("HttpURL", request.get("url")),
                ("HttpMethod", request.get("method")),
                ("HttpStatus", response.get("status")),
                ("UserAgent", request.get("user_agent")),
                ("ClientIp", request.get("client_ip")),
            )
            if value is not None
        },
        "ServiceIds": [{"Name": name, "Names": [name]} for name in dict.fromkeys(segment["name"] for segment in segments)],
    }
    return summary


def _calls(segment: Document) -> Iterator[Document]:
    """A segment's subsegments, at any depth."""
    for inner in segment.get("subsegments", ()):
        yield inner
        yield from _calls(inner)


def _add_trace(
    segments: list[Document], nodes: dict[tuple[str, str], Document], edges: dict[tuple[tuple[str, str], tuple[str, str]], Document]
) -> None:
    """Nodes are segments' names; an edge goes from the segment that holds a call to the segment whose parent that call is.

    A call to somewhere that sent no segment of its own ("namespace": "remote" or "aws") makes an inferred node, as X-Ray does.
    """
    owner = {segment["id"]: segment for segment in segments}
    calls = {call["id"]: (segment, call) for segment in segments for call in _calls(segment) if "id" in call}
    answered = set()
    for segment in segments:
        parent_id = segment.get("parent_id", "")
        caller = owner.get(parent_id) or (calls[parent_id][0] if parent_id in calls else None)
        _count(nodes, _node(segment), segment)["root"] |= caller is None
        if caller is not None:
            answered.add(parent_id)
            _count(edges, (_node(caller), _node(segment)), calls[parent_id][1] if parent_id in calls else segment)
    for call_id, (segment, call) in calls.items():
        if call_id not in answered and call.get("namespace") in ("remote", "aws"):
            inferred = (call["name"], call["namespace"])
            _count(nodes, inferred, call)
            _count(edges, (_node(segment), inferred), call)


def _node(segment: Document) -> tuple[str, str]:
    return segment["name"], segment.get("origin", "")


def _count(found: dict[Any, Document], key: Any, segment: Document) -> Document:
    start, end = segment["start_time"], segment.get("end_time", segment["start_time"])
    entry = found.setdefault(
        key, {"start": start, "end": end, "total": 0, "ok": 0, "error": 0, "fault": 0, "throttle": 0, "time": 0.0, "root": False}
    )
    entry["start"], entry["end"] = min(entry["start"], start), max(entry["end"], end)
    entry["total"] += 1
    entry["time"] += max(0.0, end - start)
    outcome = "fault" if segment.get("fault") else "error" if segment.get("error") or segment.get("throttle") else "ok"
    entry[outcome] += 1
    entry["throttle"] += bool(segment.get("throttle"))
    return entry


def _statistics(entry: Document) -> Document:
    return {
        "OkCount": entry["ok"],
        "ErrorStatistics": {"ThrottleCount": entry["throttle"], "OtherCount": entry["error"] - entry["throttle"], "TotalCount": entry["error"]},
        "FaultStatistics": {"OtherCount": entry["fault"], "TotalCount": entry["fault"]},
        "TotalCount": entry["total"],
        "TotalResponseTime": entry["time"],
    }
