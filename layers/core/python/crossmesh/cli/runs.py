"""`explain RUN` tells what a run saw, planned, withheld and did; `replay RUN` plans again from its kept inputs and compares byte for byte."""

import argparse
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from crossmesh import codec, configuration
from crossmesh.cli import stack
from crossmesh.cli.plan import line_of
from crossmesh.cli.printing import console, print_json
from crossmesh.core.actions import Memory, Operator, Outcome, RegistryPlan
from crossmesh.core.report import Report
from crossmesh.core.views import RegistryView, View
from crossmesh.errors import NotFound, RefusedError
from crossmesh.steps import manifests, store
from crossmesh.steps.drive import drive
from crossmesh.steps.plan_registry import decide

T = TypeVar("T")


def explain(arguments: argparse.Namespace) -> int:
    """Print a run."""
    ports, _ = stack.ports(arguments, "")
    name = arguments.run_id or _latest(ports)
    report = _load(ports, store.key(name, "report"), Report)
    plan = _find(ports, store.key(name, "plan"), RegistryPlan) or RegistryPlan()
    outcomes = {
        outcome.action: outcome
        for key in ports["RunStore"].list(f"runs/{name}/outcomes/")
        for outcome in _load(ports, key, tuple[Outcome, ...])
    }
    if arguments.json:
        print_json(
            {"report": msgspec.to_builtins(report), "plan": msgspec.to_builtins(plan), "outcomes": msgspec.to_builtins(list(outcomes.values()))}
        )
        return 0
    out = console()
    out.print(f"run {name}: {report.kind} in {report.seconds:.1f} s, configuration {report.config[:12]}", highlight=False, markup=False)
    for seen in report.clusters:
        out.print(
            f"  {seen.name}: " + (f"{seen.pods} pods" if not seen.cause else f"unseen: {seen.cause}: {seen.detail}"),
            highlight=False,
            markup=False,
        )
    for index, action in enumerate(plan.actions):
        outcome = outcomes.get(index)
        ended = f" [{outcome.result}{': ' + outcome.detail if outcome.detail else ''}]" if outcome else " [not reached]"
        out.print(line_of(action) + ended, highlight=False, markup=False)
    for line in (*report.withheld, *report.notes):
        out.print(f"= {line}", highlight=False, markup=False)
    if report.failure:
        out.print(f"it failed: {report.failure}", highlight=False, markup=False)
    return 0


def replay(arguments: argparse.Namespace) -> int:
    """0 = the same plan to the byte, 3 = another."""
    config = configuration.load(configuration.find_folder((arguments.config,)))
    assert config.settings is not None
    ports, found = stack.ports(arguments, config.settings.region)
    name = arguments.run_id or _latest(ports)
    report = _load(ports, store.key(name, "report"), Report)
    context = drive(manifests.in_force(stack.context(arguments, config, found), report.live), ports)
    if report.config != context.config:
        raise RefusedError("OtherConfiguration", f"the run had configuration {report.config[:12]}, {arguments.config} is {context.config[:12]}")
    memory = _load(ports, store.key(name, "inputs"), Memory)
    views = tuple(_view(ports, name, cluster.name) for cluster in config.settings.clusters)
    registry, operator = _load(ports, store.key(name, "registry"), RegistryView), _load(ports, store.key(name, "operator"), Operator)
    plan = decide(context, views, registry, memory, operator, drive(store.sick_of(name), ports))
    same = codec.encode(plan) == ports["RunStore"].get(store.key(name, "plan"))
    if arguments.json:
        print_json({"run": name, "same": same})
    else:
        console().print(
            f"run {name}: {'the same plan, byte for byte' if same else 'ANOTHER plan'} ({len(plan.actions)} actions)", highlight=False
        )
    return 0 if same else 3


def _latest(ports: Mapping[str, Any]) -> str:
    data = ports["State"].read("run")
    if data is None:
        raise NotFound("NoRun", "there was no run yet")
    return codec.decode(data, Report).id


def _view(ports: Mapping[str, Any], run: str, cluster: str) -> View:
    found: View = msgspec.json.decode(_bytes(ports, store.key(run, f"views/{cluster}")), type=View)
    return found


def _find(ports: Mapping[str, Any], key: str, kind: type[T]) -> T | None:
    data = ports["RunStore"].get(key)
    return codec.decode(data, kind) if data else None


def _load(ports: Mapping[str, Any], key: str, kind: type[T]) -> T:
    return codec.decode(_bytes(ports, key), kind)


def _bytes(ports: Mapping[str, Any], key: str) -> bytes:
    data: bytes | None = ports["RunStore"].get(key)
    if data is None:
        raise NotFound("NoRun", f"{key} is not kept (runs are kept for RunDays)")
    return data
