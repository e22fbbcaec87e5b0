"""`crossmesh trace [ID]`: one request's way as a tree, or the map of who called whom in the last
minutes. Reads X-Ray with your own credentials.

They need xray:BatchGetTraces, xray:GetTraceSummaries and xray:GetServiceGraph (the managed policy
AWSXrayReadOnlyAccess has them).
"""

import argparse
import re
import time
from datetime import UTC, datetime
from typing import Any

import msgspec

from crossmesh.adapters import aws
from crossmesh.cli import stack, target
from crossmesh.cli.printing import Branch, console, print_json, table, text, tree
from crossmesh.core.reporting.traces import Span, spans
from crossmesh.errors import NotFound, UsageError

_ID = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}")
SHOWN = 10


def run(arguments: argparse.Namespace) -> int:
    """0 = shown; 3 = shown, and something in it failed; 1 = X-Ray has no such trace; 2 = no trace
    can have such an id.
    """
    place = target.resolve(arguments)
    stack.announce(arguments, f"X-Ray of {place.region}" + (f" · profile {place.profile}" if place.profile else ""))
    xray = aws.client("xray", place.region)
    if arguments.trace_id:
        return _one(xray, arguments.trace_id, as_json=arguments.json)
    return _map(xray, arguments.minutes, as_json=arguments.json)


def _one(xray: Any, trace_id: str, *, as_json: bool) -> int:
    if not _ID.fullmatch(trace_id):
        raise UsageError(
            "NoTraceId", f"{trace_id!r} is no trace id; one looks like 1-67a1b2c3-0123456789abcdef01234567"
        )
    with aws.translated():
        found = xray.batch_get_traces(TraceIds=[trace_id])["Traces"]
    if not found or not found[0].get("Segments"):
        raise NotFound(
            "NoTrace",
            f"X-Ray has no trace {trace_id}: it shows up some seconds after the request, and is kept for 30 days",
        )
    roots = spans(msgspec.json.decode(segment["Document"]) for segment in found[0]["Segments"])
    if as_json:
        print_json({"id": trace_id, "seconds": found[0].get("Duration", 0.0), "spans": msgspec.to_builtins(roots)})
    else:
        shown = tree(f"{trace_id}, {found[0].get('Duration', 0.0) * 1000:.0f} ms")
        for root in roots:
            _grow(shown, root)
        console().print(shown)
    return 3 if any(_bad(root) for root in roots) else 0


def _grow(onto: Branch, span: Span) -> None:
    about = " ".join(
        part for part in (span.origin and f"({span.origin})", span.url, span.status and str(span.status)) if part
    )
    style = "red" if span.fault else "yellow" if span.error else "green"
    branch = onto.add(text((span.name, style), f" {about} {span.milliseconds:.0f} ms"))
    for child in span.children:
        _grow(branch, child)


def _bad(span: Span) -> bool:
    return span.fault or span.error or any(_bad(child) for child in span.children)


def _map(xray: Any, minutes: float, *, as_json: bool) -> int:
    end = time.time()
    window = {
        "StartTime": datetime.fromtimestamp(end - minutes * 60, UTC),
        "EndTime": datetime.fromtimestamp(end + 1, UTC),
    }
    with aws.translated():
        services = [s for page in xray.get_paginator("get_service_graph").paginate(**window) for s in page["Services"]]
        traces = [
            t for page in xray.get_paginator("get_trace_summaries").paginate(**window) for t in page["TraceSummaries"]
        ]
    names = {service["ReferenceId"]: str(service.get("Name", "?")) for service in services}
    calls = [
        {
            "from": names[service["ReferenceId"]],
            "to": names.get(edge["ReferenceId"], "?"),
            **_numbers(edge.get("SummaryStatistics", {})),
        }
        for service in services
        for edge in service.get("Edges", ())
    ]
    nodes = [
        {"name": names[s["ReferenceId"]], "type": s.get("Type", ""), **_numbers(s.get("SummaryStatistics", {}))}
        for s in services
    ]
    newest = sorted(traces, key=lambda trace: str(trace["Id"]), reverse=True)[:SHOWN]
    if as_json:
        print_json(
            {"minutes": minutes, "services": nodes, "calls": calls, "traces": [str(trace["Id"]) for trace in newest]}
        )
        return 3 if any(call["faults"] for call in calls) else 0
    out = console()
    grid = table("from", "to", "calls", "faults", "errors", "mean ms")
    for one in calls:
        grid.add_row(
            one["from"],
            one["to"],
            *(str(one[key]) for key in ("calls", "faults", "errors", "mean_ms")),
            style="red" if one["faults"] else "",
        )
    out.print(f"the last {minutes:g} minutes: {len(traces)} traces, {len(services)} services")
    out.print(grid)
    for trace in newest:
        bad = "fault" if trace.get("HasFault") else "error" if trace.get("HasError") else "ok"
        out.print(f"crossmesh trace {trace['Id']}  {trace.get('Duration', 0.0) * 1000:.0f} ms {bad}")
    return 3 if any(call["faults"] for call in calls) else 0


def _numbers(statistics: dict[str, Any]) -> dict[str, Any]:
    total = int(statistics.get("TotalCount", 0))
    return {
        "calls": total,
        "faults": int(statistics.get("FaultStatistics", {}).get("TotalCount", 0)),
        "errors": int(statistics.get("ErrorStatistics", {}).get("TotalCount", 0)),
        "mean_ms": round(1000 * float(statistics.get("TotalResponseTime", 0.0)) / total, 1) if total else 0.0,
    }
