"""ministack's host and the AWS server together: deployed policies are enforced, and no function worker outlives the host."""

import io
import json
import os
import signal
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.aws_drivers import Document, ServerProcess, post
from tests.contract.template import Filled
from world.aws.clients import client, client_as
from world.aws.seed import NAMESPACE, open_port, seed

ONCE = {"total_max_attempts": 1}
CODE = """
import os, time, boto3
def handler(event, context):
    time.sleep(event.get("sleep", 0))
    service = boto3.client("servicediscovery")
    if event.get("register"):
        service.register_instance(ServiceId=event["register"], InstanceId="i-1", Attributes={"AWS_INSTANCE_IPV4": "127.2.0.3"})
    return {"who": boto3.client("sts").get_caller_identity()["Arn"], "pid": os.getpid(), "services": len(service.list_services()["Services"])}
"""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("world"))
    try:
        process.start("world.aws.ministack_host")
        process.start("world.aws.server")
        yield process
    finally:
        process.stop()


def trust(service: str) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}
    )


def policy(*actions: str, resource: str = "*") -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": resource}]})


def role(world: Document, name: str, service: str, document: str) -> str:
    iam = client(world, "iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(service))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
    return arn


def function(world: Document, name: str, role_arn: str) -> str:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", CODE)
    asked = {"Runtime": "python3.11", "Handler": "app.handler", "Timeout": 60, "Code": {"ZipFile": packed.getvalue()}}
    return client(world, "lambda").create_function(FunctionName=name, Role=role_arn, **asked)["FunctionArn"]


def invoke(world: Document, name: str, **event: Any) -> Document:
    return json.load(client(world, "lambda").invoke(FunctionName=name, Payload=json.dumps(event))["Payload"])


def test_the_seed_is_idempotent_and_opens_ports(process: ServerProcess) -> None:
    world = process.world
    first = seed(world)
    assert seed(world) == first
    ec2 = client(world, "ec2")
    (group,) = ec2.describe_security_groups(GroupIds=[first["groups"]["eksc2-nodes"]])["SecurityGroups"]
    assert group["IpPermissions"] == []
    for _ in range(2):
        open_port(world, "eksc2", "eksc1", 8080)
    (group,) = ec2.describe_security_groups(GroupIds=[first["groups"]["eksc2-nodes"]])["SecurityGroups"]
    (rule,) = group["IpPermissions"]
    assert (rule["FromPort"], rule["UserIdGroupPairs"][0]["GroupId"]) == (8080, first["groups"]["eksc1-nodes"])
    cluster = client(world, "eks").describe_cluster(name="eksc1")["cluster"]["resourcesVpcConfig"]
    assert cluster["clusterSecurityGroupId"] == first["groups"]["eksc1-nodes"]
    namespaces = client(world, "servicediscovery").list_namespaces()["Namespaces"]
    (namespace,) = (found for found in namespaces if found["Name"] == NAMESPACE)
    assert namespace["Arn"].split(":")[4] == "111122223333"


def test_a_user_may_only_what_its_policy_says(process: ServerProcess) -> None:
    world, iam = process.world, client(process.world, "iam")
    seed(world)
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    reader = client_as(world, "servicediscovery", key["AccessKeyId"], key["SecretAccessKey"], retries=ONCE)
    with pytest.raises(ClientError, match="user/reader is not authorized to perform: servicediscovery:ListNamespaces"):
        reader.list_namespaces()
    iam.put_user_policy(UserName="reader", PolicyName="own", PolicyDocument=policy("servicediscovery:List*"))
    until = time.monotonic() + 5
    while True:
        try:
            reader.list_namespaces()
            break
        except ClientError:
            assert time.monotonic() < until, "a new policy is in force within seconds"
            time.sleep(0.2)


def test_a_tag_of_a_security_group_decides_who_may_open_it(process: ServerProcess) -> None:
    """The condition by which OpenPortsFunction is limited, as the template has it."""
    world, iam = process.world, client(process.world, "iam")
    groups = seed(world)["groups"]
    (ports,) = (
        statement
        for held in Filled(SecurityGroups="open").resource("OpenPortsFunctionRole")["Policies"]
        for statement in held["PolicyDocument"]["Statement"]
        if statement.get("Sid") == "Ports"
    )
    iam.create_user(UserName="opener")
    iam.put_user_policy(UserName="opener", PolicyName="own", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [ports]}))
    key = iam.create_access_key(UserName="opener")["AccessKey"]
    opener = client_as(world, "ec2", key["AccessKeyId"], key["SecretAccessKey"], retries=ONCE)

    def opens(target: str, source: str) -> None:
        rule = {"IpProtocol": "tcp", "FromPort": 9_090, "ToPort": 9_090, "UserIdGroupPairs": [{"GroupId": groups[source]}]}
        opener.authorize_security_group_ingress(GroupId=groups[target], IpPermissions=[rule])

    for owner in ("", "other"):
        if owner:
            client(world, "ec2").create_tags(Resources=[groups["eksc1-nodes"]], Tags=[{"Key": "crossmesh:owner", "Value": owner}])
        with pytest.raises(ClientError, match="UnauthorizedOperation"):
            opens("eksc1-nodes", "eksc2-nodes")
    client(world, "ec2").create_tags(Resources=[groups["eksc2-nodes"]], Tags=[{"Key": "crossmesh:owner", "Value": "demo"}])
    opens("eksc2-nodes", "eksc1-nodes")
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        opener.create_tags(Resources=[groups["eksc1-nodes"]], Tags=[{"Key": "crossmesh:owner", "Value": "demo"}])


def test_a_pod_gets_a_role_that_trusts_eks_with_its_tags(process: ServerProcess) -> None:
    """As EKS Auth: the service, both actions and the conditions of the trust policy are asked; what comes out is bound by the role's policy."""
    world, iam = process.world, client(process.world, "iam")

    def trusting(name: str, service: str, actions: list[str], account: str) -> str:
        tag = {"StringEquals": {"aws:RequestTag/kubernetes-service-account": account}}
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": actions, "Condition": tag}
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))["Role"][
            "Arn"
        ]
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy("events:PutEvents"))
        return str(arn)

    def asked(arn: str) -> Document:
        tags = {"kubernetes-namespace": "crossmesh", "kubernetes-service-account": "watcher"}
        found: Document = post(
            f"http://127.0.0.1:{world['ports']['control']}/_world/pod-identity", {"role_arn": arn, "session": "s", "tags": tags}
        )
        return found

    both, eks = ["sts:AssumeRole", "sts:TagSession"], "pods.eks.amazonaws.com"
    keys = asked(trusting("right", eks, both, "watcher"))
    own = (keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"])
    entry = {"Source": "x", "DetailType": "y", "Detail": "{}"}
    assert client_as(world, "events", *own).put_events(Entries=[entry])["FailedEntryCount"] == 0
    with pytest.raises(ClientError, match="AccessDenied"):
        client_as(world, "dynamodb", *own).list_tables()
    refused = {
        "another service": trusting("r1", "lambda.amazonaws.com", both, "watcher"),
        "no TagSession": trusting("r2", eks, both[:1], "watcher"),
        "another account": trusting("r3", eks, both, "other"),
        "no such role": "arn:aws:iam::111122223333:role/none",
    }
    assert [why for why, arn in refused.items() if "refused" not in asked(arn)] == []


def test_functions_call_as_their_role(process: ServerProcess) -> None:
    world = process.world
    seed(world)
    registry = client(world, "servicediscovery")
    namespace = next(found["Id"] for found in registry.list_namespaces()["Namespaces"] if found["Name"] == NAMESPACE)
    records = {"DnsRecords": [{"Type": "A", "TTL": 300}]}
    service = registry.create_service(Name="colorapp", NamespaceId=namespace, DnsConfig=records)["Service"]["Id"]
    some = role(world, "some", "lambda.amazonaws.com", policy("servicediscovery:ListServices", "servicediscovery:RegisterInstance"))
    function(world, "some", some)
    assert invoke(world, "some")["who"] == "arn:aws:sts::111122223333:assumed-role/some/some"
    refused = invoke(world, "some", register=service)
    assert "assumed-role/some/some is not authorized to perform: route53:ChangeResourceRecordSets" in refused["errorMessage"]
    enough = policy("servicediscovery:*", "route53:*")
    full = role(world, "full", "lambda.amazonaws.com", enough)
    function(world, "full", full)
    assert invoke(world, "full", register=service)["services"] == len(registry.list_services()["Services"])


def test_state_machines_act_as_their_role(process: ServerProcess) -> None:
    world = process.world
    states, table = client(world, "stepfunctions"), client(world, "dynamodb")
    table.create_table(
        TableName="table",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:putItem",
        "Parameters": {"TableName": "table", "Item": {"id": {"S": "1"}}},
        "End": True,
    }
    definition = json.dumps({"StartAt": "Put", "States": {"Put": task}})
    outcomes = {}
    for name, allowed in (
        ("poor", policy("dynamodb:GetItem")),
        ("rich", policy("dynamodb:PutItem", resource="arn:aws:dynamodb:*:*:table/table")),
    ):
        arn = states.create_state_machine(name=name, definition=definition, roleArn=role(world, f"sm-{name}", "states.amazonaws.com", allowed))
        run = states.start_execution(stateMachineArn=arn["stateMachineArn"], input="{}")["executionArn"]
        until = time.monotonic() + 10
        while (shown := states.describe_execution(executionArn=run))["status"] == "RUNNING" and time.monotonic() < until:
            time.sleep(0.05)
        outcomes[name] = shown["status"]
    assert outcomes == {"poor": "FAILED", "rich": "SUCCEEDED"}
    control = f"http://127.0.0.1:{world['ports']['control']}"
    denials = json.load(urllib.request.urlopen(f"{control}/_world/denials"))["denials"]
    assert "role/sm-poor is not authorized to perform: dynamodb:PutItem" in denials[-1]["reason"]


@pytest.mark.parametrize("granted", [True, False])
def test_a_rule_starts_a_state_machine_for_a_cloudtrail_event_if_its_role_may(process: ServerProcess, granted: bool) -> None:
    world, name = process.world, f"drift-{granted}".lower()
    states, events = client(world, "stepfunctions"), client(world, "events")
    definition = json.dumps({"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": True}}})
    own = role(world, f"{name}-own", "states.amazonaws.com", policy("s3:ListAllMyBuckets"))
    arn = states.create_state_machine(name=name, definition=definition, roleArn=own)["stateMachineArn"]
    starter = role(world, f"{name}-starts", "events.amazonaws.com", policy("states:StartExecution" if granted else "s3:ListAllMyBuckets"))
    pattern = {
        "source": ["aws.servicediscovery"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {"eventName": ["CreateHttpNamespace"]},
    }
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn, "RoleArn": starter}])
    client(world, "servicediscovery").create_http_namespace(Name=f"{name}.local")
    until = time.monotonic() + (5 if granted else 1)
    while not (runs := states.list_executions(stateMachineArn=arn)["executions"]) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(runs) == (1 if granted else 0)
    if granted:
        event = json.loads(states.describe_execution(executionArn=runs[0]["executionArn"])["input"])
        assert event["detail"]["userIdentity"]["arn"] == "arn:aws:iam::111122223333:user/admin"


def test_the_control_denies_unknown_and_built_in_keys(process: ServerProcess) -> None:
    control = f"http://127.0.0.1:{process.world['ports']['control']}"
    for key in ("AKIANOBODY", "test", "111122223333", ""):
        asked = {"access_key_id": key, "session_token": "", "action": "s3:ListAllMyBuckets", "resource": "*"}
        assert post(f"{control}/_world/authorise", asked)["allowed"] is False
    admin = {"access_key_id": process.world["admin"]["access_key_id"], "session_token": "", "action": "s3:ListAllMyBuckets", "resource": "*"}
    assert post(f"{control}/_world/authorise", admin)["allowed"] is True


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_host(tmp_path: Path, ending: signal.Signals) -> None:
    process = ServerProcess(tmp_path)
    try:
        host = process.start("world.aws.ministack_host")
        process.start("world.aws.server")
        arn = role(process.world, "r", "lambda.amazonaws.com", policy("servicediscovery:ListServices"))
        function(process.world, "sleeper", arn)
        worker = invoke(process.world, "sleeper")["pid"]
        client(process.world, "lambda").invoke(FunctionName="sleeper", InvocationType="Event", Payload=json.dumps({"sleep": 50}))
        time.sleep(0.3)
        assert alive(worker)
        begun = time.monotonic()
        host.send_signal(ending)
        assert host.wait(3) == (0 if ending == signal.SIGTERM else -signal.SIGKILL)
        while alive(worker) and time.monotonic() - begun < 3:
            time.sleep(0.02)
        assert not alive(worker)
        assert time.monotonic() - begun < 2
    finally:
        process.stop()


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
