"""What stores and carries data takes it by TLS only; alarms still reach an encrypted topic; what goes wrong in a function is a record that can be found."""

from typing import Any

import pytest

from tests.contract.template import ACCOUNT, Filled

TEMPLATE = Filled()
POLICIES = {  # what carries or keeps data -> the type of its policy, and the property that names what it is attached to
    "AWS::S3::Bucket": ("AWS::S3::BucketPolicy", "Bucket"),
    "AWS::SQS::Queue": ("AWS::SQS::QueuePolicy", "Queues"),
    "AWS::SNS::Topic": ("AWS::SNS::TopicPolicy", "Topics"),
}


def keepers() -> list[str]:
    """Every bucket, queue and topic."""
    return [name for kind in POLICIES for name in TEMPLATE.of_type(kind)]


def statements(keeper: str) -> list[dict[str, Any]]:
    """Of the policies attached to it."""
    kind, named = POLICIES[TEMPLATE.resources[keeper]["Type"]]
    found = []
    for name, resource in TEMPLATE.resources.items():
        if resource["Type"] == kind and {"Ref": keeper} in (resource["Properties"][named], *resource["Properties"][named]):
            found += TEMPLATE.resource(name)["PolicyDocument"]["Statement"]
    return found


@pytest.mark.parametrize("keeper", keepers())
def test_calls_without_tls_are_denied_to_everybody(keeper: str) -> None:
    denied = [s for s in statements(keeper) if s["Effect"] == "Deny"]
    (denial,) = [s for s in denied if s["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}]
    assert denial["Principal"] == "*"
    assert denial["Action"] in ("s3:*", "sqs:*", "sns:Publish"), "a topic's policy may name no action but its own"
    arn = TEMPLATE.arn(keeper)
    assert denial["Resource"] in (arn, [arn, f"{arn}/*"])


def test_the_policy_of_a_bucket_that_stays_stays_with_it() -> None:
    assert TEMPLATE.resources["BucketPolicy"]["DeletionPolicy"] == TEMPLATE.resources["Bucket"]["DeletionPolicy"] == "Retain"


def test_alarms_reach_the_encrypted_topic() -> None:
    """The topic's policy replaces the one that AWS gives it, and the key of AWS would not let CloudWatch in."""
    (publish,) = [s for s in statements("Alarms") if s["Principal"] == {"Service": "cloudwatch.amazonaws.com"}]
    assert (publish["Effect"], publish["Action"], publish["Resource"]) == ("Allow", "sns:Publish", TEMPLATE.arn("Alarms"))
    key = TEMPLATE.resource("AlarmKey")["KeyPolicy"]["Statement"]
    (use,) = [s for s in key if s["Principal"] == {"Service": "cloudwatch.amazonaws.com"}]
    assert set(use["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}
    for statement in (publish, use):
        assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert any(s["Action"] == "kms:*" and s["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"} for s in key), (
        "or nobody could ever change the key"
    )
    assert TEMPLATE.resource("Alarms")["KmsMasterKeyId"] == TEMPLATE.name("AlarmKey")
    (people,) = [s for s in statements("Alarms") if s["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}]
    assert {"sns:Subscribe", "sns:Publish"} <= set(people["Action"])


def test_who_wants_no_key_pays_for_none() -> None:
    without = Filled(AlarmEncryption="none")
    assert "AlarmKey" not in without.made()
    assert "KmsMasterKeyId" not in without.resource("Alarms")


@pytest.mark.parametrize("function", sorted(TEMPLATE.of_type("AWS::Lambda::Function")))
def test_a_functions_errors_are_records_that_the_dashboard_finds(function: str) -> None:
    """In the text format an exception is `[ERROR] …` without a level, and a timeout is a sentence: neither is found by level."""
    assert TEMPLATE.resource(function)["LoggingConfig"]["LogFormat"] == "JSON"


def test_the_dashboard_asks_for_errors_as_lambda_writes_them() -> None:
    body = TEMPLATE.resource("Dashboard")["DashboardBody"]
    (query,) = [line for line in body.splitlines() if "level = 'ERROR'" in line]
    assert "errorMessage" in query, "an exception has no `message`"
    assert "platform.report" in query, "a timeout or a crash has no level"


def test_executions_that_time_out_alarm_and_ask_for_a_look() -> None:
    alarms = TEMPLATE.of_type("AWS::CloudWatch::Alarm")
    watched = {(a["MetricName"], d["Value"]) for a in alarms.values() if a.get("Namespace") == "AWS/States" for d in a["Dimensions"]}
    canary = TEMPLATE.arn("Canary")
    assert {("ExecutionsFailed", canary), ("ExecutionsTimedOut", canary)} <= watched
    names = {a["AlarmName"] for a in alarms.values() if a.get("MetricName") in ("ExecutionsFailed", "ExecutionsTimedOut")}
    assert names == set(TEMPLATE.resource("LookCanaryAlarmed")["EventPattern"]["detail"]["alarmName"])


# One object, which each look writes anew; and snapshots, whose old objects a run sweeps away (core/mesh/xds/sweep.py)
FOR_EVER = {"registry/last.json", "snapshots/*"}


def test_nothing_in_the_bucket_lives_for_ever_that_nobody_needs() -> None:
    """Whatever a role may write lies below a prefix that expires; parts of uploads that never ended expire, too."""
    bucket = TEMPLATE.resource("Bucket")["LifecycleConfiguration"]["Rules"]
    expiring = tuple(rule["Prefix"] for rule in bucket if rule["Status"] == "Enabled" and "ExpirationInDays" in rule)
    assert any("AbortIncompleteMultipartUpload" in rule for rule in bucket)
    written = {
        key
        for function in TEMPLATE.of_type("AWS::Lambda::Function")
        for policy in TEMPLATE.resource(f"{function}Role").get("Policies", ())
        for statement in policy["PolicyDocument"]["Statement"]
        if "s3:PutObject" in statement["Action"]
        for key in (arn.partition("/")[2] for arn in statement["Resource"])
    }
    assert len(written) > 15
    assert {key for key in written if not key.startswith(expiring)} == FOR_EVER
