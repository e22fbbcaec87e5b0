"""The application as shipped: which functions and state machines there are, read from template.yaml and functions/*/app.py."""

import importlib
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from tests.sim import asl

ROOT = Path(__file__).parents[2]
# Sources under test that differ from the files on disk: path from the root -> text (mutants).
CHANGED: dict[str, str] = {}


@dataclass(slots=True)
class Function:
    """A deployed function: its step's module, and the seconds that it may run."""

    name: str
    module: Any
    timeout: float


@dataclass(slots=True)
class Machine:
    """A deployed state machine, its substitutions made."""

    name: str
    definition: dict[str, Any]
    express: bool


@dataclass(slots=True)
class Application:
    """Functions and machines by the strings that stand for them in definitions."""

    functions: dict[str, Function]
    machines: dict[str, Machine]


def source(name: str) -> str:
    """A file of the project, as changed."""
    return CHANGED.get(name) or (ROOT / name).read_text()


@cache
def load() -> Application:
    """Read it all. Raises asl.UnknownFeature for a machine that the simulator cannot play."""
    document = yaml_parse(source("template.yaml"))
    resources, common = document["Resources"], document["Globals"]["Function"]
    functions = {
        name: _function(name, resource["Properties"], common)
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    found = Application(functions, {})
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Serverless::StateMachine":
            found.machines[name] = _machine(name, resource["Properties"])
    return found


def _function(name: str, properties: dict[str, Any], common: dict[str, Any]) -> Function:
    text = source(f"{properties['CodeUri']}/app.py")
    match = re.search(r"from crossmesh\.steps import (\w+)", text)
    module = importlib.import_module(f"crossmesh.steps.{match[1]}") if match else None
    return Function(name, module, float(properties.get("Timeout", common["Timeout"])))


def _machine(name: str, properties: dict[str, Any]) -> Machine:
    text = source(properties["DefinitionUri"])
    for key, value in properties["DefinitionSubstitutions"].items():
        text = text.replace(f"${{{key}}}", _meant(value))
    left = re.findall(r"\$\{\w+\}", text)
    if left:
        raise asl.Unsound(f"{name}: nothing is substituted for {left}")
    definition = json.loads(text)
    asl.check(definition)
    return Machine(name, definition, properties.get("Type") == "EXPRESS")


def _meant(value: Any) -> str:
    """The logical name behind !GetAtt X.Arn, !Ref X, or an ARN written by name (…:stateMachine:<stack>-look)."""
    if "Fn::GetAtt" in value:
        target = value["Fn::GetAtt"]
        return str(target[0] if isinstance(target, list) else target.partition(".")[0])
    if "Ref" in value:
        return str(value["Ref"])
    text = str(value["Fn::Sub"])
    return asl.START if text.endswith(asl.START.partition(":states:")[2]) else text.rpartition("-")[2].capitalize()
