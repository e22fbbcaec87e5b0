"""Draw the state machines as Mermaid diagrams from their ASL into docs/reference/state-machines.md. `--check`: say whether the page is current."""

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "state-machines.md"
MACHINES = {"look": "Look", "reconcile": "Run", "canary": "Canary"}
HEAD = """\
# State machines

This page is generated: change `statemachines/*.asl.json`, then run `make diagrams`.

A box is a state, and its second line is the function or call behind it. A diamond is a choice.
A dotted arrow is the way of an error. `tools/lint_workflows.py` holds all retries to one policy.
"""

Document = dict[str, Any]


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for file, title in MACHINES.items():
        definition = json.loads((ROOT / "statemachines" / f"{file}.asl.json").read_text())
        parts.append(
            f"\n## {title}\n\n{textwrap.fill(definition['Comment'], 100, break_on_hyphens=False)}\n\n```mermaid\n{diagram(definition)}\n```\n"
        )
        told = [(name, state["Comment"]) for name, state in every_state(definition) if "Comment" in state]
        parts.append("".join(["\n", *(_item(f"**{name}**: {comment}") for name, comment in told)]) if told else "")
    return "".join(parts)


def diagram(definition: Document) -> str:
    """One machine as a Mermaid flowchart."""
    return "\n".join(["flowchart TD", *_drawn(definition, "", "  ")])


def every_state(definition: Document) -> Iterator[tuple[str, Document]]:
    """All states, those inside a Map included."""
    for name, state in definition["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from every_state(state["ItemProcessor"])


def _drawn(definition: Document, prefix: str, indent: str) -> Iterator[str]:
    """The states, then the ways between them. `prefix` keeps the states of a Map apart from the others."""
    ids = {name: f"{prefix}s{number}" for number, name in enumerate(definition["States"])}
    yield f"{indent}{prefix}start((start)) --> {ids[definition['StartAt']]}"
    for name, state in definition["States"].items():
        yield indent + _box(ids[name], name, state)
        if "ItemProcessor" in state:
            yield f'{indent}subgraph {ids[name]}m["for each item of {name}"]'
            yield from _drawn(state["ItemProcessor"], f"{ids[name]}i", indent + "  ")
            yield f"{indent}end"
            yield f"{indent}{ids[name]} -.- {ids[name]}m"
    for name, state in definition["States"].items():
        for following, why in _onward(state):
            yield f"{indent}{ids[name]} -->{_label(why)} {ids[following]}"
        for rule in state.get("Catch", ()):
            errors = () if rule["ErrorEquals"] == ["States.ALL"] else (error.rpartition(".")[2] for error in rule["ErrorEquals"])
            yield f"{indent}{ids[name]} -.->{_label(', '.join(errors))} {ids[rule['Next']]}"


def _label(text: str) -> str:
    return f'|"{text}"|' if text else ""


def _box(ident: str, name: str, state: Document) -> str:
    match state["Type"]:
        case "Choice":
            return f'{ident}{{"{name}"}}'
        case "Succeed" | "Fail":
            return f'{ident}(["{name}"])'
        case "Wait":
            return f'{ident}[/"{name}<br/>{_wait(state)}"/]'
        case "Task":
            return f'{ident}["{name}<br/><i>{_called(state)}</i>"]'
        case _:
            return f'{ident}["{name}"]'


def _called(state: Document) -> str:
    """The function of a task, as its folder is named, or what it starts."""
    called = state["Resource"][2:-1]
    if called == "StartExecution":
        return f"starts {state['Parameters']['StateMachineArn'][2:-1].removesuffix('Arn').lower()}"
    return re.sub(r"(?<!^)(?=[A-Z])", "_", called.removesuffix("FunctionArn")).lower()


def _wait(state: Document) -> str:
    return f"{state['Seconds']} s" if "Seconds" in state else f"until {state.get('TimestampPath', state.get('SecondsPath', ''))}"


def _onward(state: Document) -> Iterator[tuple[str, str]]:
    """Each next state and when it is taken."""
    for rule in state.get("Choices", ()):
        yield rule["Next"], _condition(rule)
    if "Default" in state:
        yield state["Default"], "else"
    if "Next" in state:
        yield state["Next"], ""


_SIGNS = {"Equals": "=", "GreaterThan": ">", "LessThan": "<", "GreaterThanEquals": "≥", "LessThanEquals": "≤"}


def _condition(rule: Document) -> str:
    for word, between in (("And", " and "), ("Or", " or ")):
        if word in rule:
            return between.join(_condition(inner) for inner in rule[word])
    if "Not" in rule:
        return f"not {_condition(rule['Not'])}"
    (operator,) = rule.keys() - {"Variable", "Next", "Comment"}
    about, value = rule["Variable"].removeprefix("$."), rule[operator]
    if about.startswith("States.ArrayContains"):
        return f"{about.partition('(')[2].removesuffix(')').replace('$.', '').replace(',', ' has')}"
    if operator == "IsPresent":
        return f"{about} is {'there' if value else 'missing'}"
    if operator == "BooleanEquals":
        return about if value else f"not {about}"
    return f"{about} {_SIGNS[re.sub('^(String|Numeric)', '', operator)]} {value}"


def _item(text: str) -> str:
    return textwrap.fill(text, 100, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False) + "\n"


def main(arguments: list[str]) -> int:
    """0 = written, or current."""
    text = page()
    if arguments == ["--check"]:
        return 0 if PAGE.exists() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
