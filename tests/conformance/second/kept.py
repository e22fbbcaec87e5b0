"""Questions about what is kept: leases, documents and runs."""

from typing import Any

import msgspec
from crossmesh.ports import Lease

from tests.conformance.second.asked import question
from tests.conformance.second.clouds import Cloud


@question
def a_lease_changes_hands_only_as_expected(cloud: Cloud) -> Any:
    state = cloud.state
    one, two = Lease(epoch=1, holder="one", expires=100.5), Lease(epoch=2, holder="two", expires=200.25)
    asked = msgspec.structs.replace(one, again=True)
    return [
        state.read_lease("l"),
        state.write_lease("l", one, None),
        state.write_lease("l", two, None),
        state.read_lease("l"),
        state.ask_again("l", two),
        state.ask_again("l", one),
        state.write_lease("l", None, one),
        state.write_lease("l", None, asked),
        state.read_lease("l"),
        state.write_lease("l", two, state.read_lease("l")),
        state.write_lease("l", one, state.read_lease("l")),
    ]


@question
def documents_are_replaced_and_kept_to_the_byte(cloud: Cloud) -> Any:
    state = cloud.state
    for value in (b"\x00one", b"x" * 5000, b""):
        state.write("d", value)
        assert state.read("d") == value
    return state.read("none"), state.read("d")


@question
def runs_are_kept_to_the_byte_and_listed_by_prefix(cloud: Cloud) -> Any:
    for key in ("runs/a/y.json", "runs/a/x.json", "runs/ab/x.json", "runs/b c/ü+1.json"):
        cloud.runs.put(key, key.encode())
    cloud.runs.put("runs/a/x.json", b"again")
    return (
        cloud.runs.get("runs/a/x.json"),
        cloud.runs.get("runs/none"),
        cloud.runs.list("runs/a/"),
        cloud.runs.list("runs/"),
        cloud.runs.list("none/"),
    )


@question
def pages_of_runs(cloud: Cloud) -> Any:
    for number in range(5):
        cloud.runs.put(f"pages/{number}", b"x")
    pages = list(cloud.api("s3").get_paginator("list_objects_v2").paginate(Bucket="runs", Prefix="pages/", PaginationConfig={"PageSize": 2}))
    return [([item["Key"] for item in page["Contents"]], page["KeyCount"], page["IsTruncated"]) for page in pages]
