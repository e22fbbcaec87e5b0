"""The template's EventBridge rules in matchers that others wrote (moto's and ministack's), on samples in events/ shaped as AWS delivers them."""

import copy
import json
from functools import cache
from typing import Any

import pytest
from ministack.services import eventbridge
from moto.events.models import EventPattern, EventPatternParser

from tests.conftest import SECOND_OPINION
from tests.contract.template import Filled
from world.deploy import ROOT

Document = dict[str, Any]
FOLDER = ROOT / "events"
TAKEN: dict[str, set[str]] = {  # by which rules each sample is taken; a sample without a line fails the test below
    "canary_alarm": {"LookCanaryAlarmed"},
    "canary_requested": {"CanaryAsked"},
    "drift": {"LookDrift"},
    "look_requested": {"LookHint"},
    "pods_changed": {"LookHint"},
    "stack_deployed": {"LookDeployed"},
    "cloudtrail/own_registration": set(),
    "cloudtrail/own_route": set(),
    "cloudtrail/own_read": set(),
    "cloudtrail/person_reads": set(),
    "cloudtrail/security_group_opened": set(),
    "cloudtrail/controller_deregisters": {"LookDrift"},
    "cloudtrail/root_deletes_service": {"LookDrift"},
    "cloudtrail/person_changes_route": {"LookDrift"},
    "cloudtrail/ecs_registers_task": set(),
    "cloudtrail/aws_service_deletes_node": {"LookDrift"},
    "cloudtrail/other_stack_registers": {"LookDrift"},
    "cloudtrail/other_account_registers": {"LookDrift"},
    "cloudtrail/stranger_registers": {"LookDrift"},  # the look tells whose it is
}
SUFFIX = "-1A2B3C4D5E6F"  # of the roles in the samples: CloudFormation's names are <stack>-<logical id>-<random>


@cache
def patterns() -> dict[str, str]:
    """Each rule's pattern as JSON, with roles named as CloudFormation names them."""
    template = Filled()
    rules = {name: json.dumps(rule["EventPattern"]) for name, rule in template.of_type("AWS::Events::Rule").items()}
    for role in template.of_type("AWS::IAM::Role"):
        rules = {name: text.replace(f':role/{role}"', f':role/crossmesh-{role}{SUFFIX}"') for name, text in rules.items()}
    return rules


def sample(name: str) -> Document:
    found: Document = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def by_moto(pattern: str, event: Document) -> bool:
    return EventPattern(pattern, EventPatternParser(pattern).parse()).matches_event(event)  # type: ignore[arg-type]


def by_ministack(pattern: str, event: Document) -> bool:
    """By TestEventPattern."""
    status, _, body = eventbridge._test_event_pattern({"EventPattern": pattern, "Event": json.dumps(event)})
    assert status == 200, body
    return bool(json.loads(body)["Result"])


MATCHERS = {"moto": by_moto, "ministack": by_ministack}


def takers(event: Document, matcher: str) -> set[str]:
    return {name for name, pattern in patterns().items() if MATCHERS[matcher](pattern, event)}


def test_every_sample_and_every_rule_is_in_the_table() -> None:
    assert {str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.json")} == set(TAKEN)
    assert set().union(*TAKEN.values()) == set(patterns()), "a rule that no sample in events/ meets"


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize("name", TAKEN)
def test_a_sample_is_taken_by_its_rules_alone(name: str, matcher: str) -> None:
    assert takers(sample(name), matcher) == TAKEN[name]


def test_how_much_was_compared(record_property: Any) -> None:
    pairs = [(pattern, sample(name)) for pattern in patterns().values() for name in TAKEN]
    differ = [pattern for pattern, event in pairs if by_moto(pattern, event) != by_ministack(pattern, event)]
    assert differ == []
    record_property(
        SECOND_OPINION,
        f"event patterns: {len(patterns())} rules on {len(TAKEN)} samples in moto's and ministack's matchers, {len(differ)} differ",
    )


NEAR = [
    ("canary_alarm", ("detail", "alarmName"), "crossmesh-dev-canary"),
    ("canary_alarm", ("detail", "state", "value"), "OK"),
    ("canary_requested", ("source",), "crossmesh.watcher"),
    ("pods_changed", ("detail-type",), "Pods deleted"),
    ("drift", ("source",), "aws.route53"),
    ("drift", ("detail-type",), "AWS Service Event via CloudTrail"),
    ("drift", ("detail", "eventName"), "DiscoverInstances"),
]


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize(("name", "place", "value"), NEAR, ids=lambda value: value if isinstance(value, str) else "")
def test_a_near_miss_is_not_taken(name: str, place: tuple[str, ...], value: str, matcher: str) -> None:
    event = copy.deepcopy(sample(name))
    inner = event
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    assert takers(event, matcher) == set()


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize("name", [name for name, takers in TAKEN.items() if takers == {"LookDrift"}])
def test_a_call_that_was_refused_changed_nothing_and_costs_no_look(name: str, matcher: str) -> None:
    event = sample(name)
    event["detail"]["errorCode"] = "AccessDenied"
    assert takers(event, matcher) == set()


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize("name", ["cloudtrail/own_registration", "cloudtrail/own_route"])
def test_the_own_role_alone_keeps_an_own_write_out(name: str, matcher: str) -> None:
    event = copy.deepcopy(sample(name))
    event["detail"]["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] += "X"
    assert takers(event, matcher) == {"LookDrift"}
