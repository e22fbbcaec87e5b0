"""docs/reference/iam.md from the template, the reasons and the situations: `make iam`."""

import json
from collections.abc import Mapping
from typing import Any

from tests.contract.iam.account import Grant, grants
from tests.contract.iam.reasons import EMULATED_NOT, MANAGED, REASONS
from tests.contract.iam.situations import Situation
from tests.contract.template import ACCOUNT, REGION, Filled
from world.deploy import ROOT

FILE = ROOT / "docs" / "reference" / "iam.md"
HEAD = """\
# Rights

Written by `make iam`; do not edit. It is made from the template, `tests/contract/iam/reasons.py` and `tests/contract/iam/situations.py`; a test compares.

Each line is taken away alone in `tests/contract/iam/test_grants.py`, where the functions' real adapters call models of Cloud Map, App Mesh and
EKS that ask for rights as AWS does: the situation named then turns red.
`REGION`, `ACCOUNT` and `STACK` stand for those of the deployment; *owner* is the parameter `Owner`. Shown is what is given with `SecurityGroups=open` and with
`ClusterRoleArns`: by default `OpenPortsFunction` has only what it does in the state table and the run store, and nobody may assume a role.
"""


def text(template: Filled, shown_by: Mapping[Grant, Situation | None]) -> str:
    """The whole page. `shown_by`: the situation that turns red without a right."""
    lines = [HEAD]
    by_function: dict[str, list[tuple[Grant, dict[str, Any]]]] = {}
    for grant, statement in grants(template).items():
        by_function.setdefault(grant.function, []).append((grant, statement))
    for function, given in sorted(by_function.items()):
        lines += [f"## {function}", "", template.resource(function).get("Description", "") + ".", ""]
        lines += ["| action | resource | why | shown by |", "| --- | --- | --- | --- |"]
        for grant, statement in given:
            red = shown_by.get(grant)
            shown = f"`{red.__name__}`" if red else "**nothing**"
            lines.append(f"| `{grant.action}` | {_resource(statement)} | {REASONS.get(grant.action, '**no reason**')} | {shown} |")
        lines.append("")
    return "\n".join([*lines, *_others(template)]) + "\n"


def _resource(statement: dict[str, Any]) -> str:
    found = statement["Resource"]
    listed = found if isinstance(found, list) else [found]
    shown = ", ".join(f"`{one.replace(ACCOUNT, 'ACCOUNT').replace(REGION, 'REGION')}`" for one in listed)
    for operator, keys in statement.get("Condition", {}).items():
        for key, value in keys.items():
            wanted = "*owner*" if value == "demo" else f"`{value if isinstance(value, str) else ', '.join(value)}`"
            shown += f" where {'every ' if operator.startswith('ForAll') else ''}`{key}` is {wanted}"
    return shown


def _others(template: Filled) -> list[str]:
    lines = ["## Given to every function", "", "| policy | why |", "| --- | --- |"]
    lines += [f"| `{name}` | {why} |" for name, why in sorted(MANAGED.items())]
    lines += [
        "| `sqs:SendMessage` on `LostInvocations` | what a function was invoked with and failed on; attached by SAM for `OnFailure` |",
        "",
    ]
    lines += ["## Everyone else", "", EMULATED_NOT, "", "| role | trusted | may | on |", "| --- | --- | --- | --- |"]
    functions = {f"{name}Role" for name in template.of_type("AWS::Lambda::Function")}
    for name, role in sorted(template.of_type("AWS::IAM::Role").items()):
        if name in functions:
            continue
        trust = role["AssumeRolePolicyDocument"]
        trusted = (json.loads(trust) if isinstance(trust, str) else trust)["Statement"][0]["Principal"]
        for policy in role.get("Policies", ()):
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                may = ", ".join(f"`{action}`" for action in actions)
                lines.append(f"| {name} | {_trusted(trusted)} | {may} | {_resource(statement)} |")
    return lines


def _trusted(principal: dict[str, Any]) -> str:
    ((_, found),) = principal.items()
    return ", ".join(found if isinstance(found, list) else [found])


if __name__ == "__main__":
    from tests.contract.iam.proofs import page

    FILE.write_text(page())
