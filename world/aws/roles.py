"""Deployed roles enforced where ministack acts itself: tasks of state machines, and targets of rules and schedules.

ministack checks the callers of its API, functions among them; what its own Step Functions, EventBridge and Scheduler do, they do as root.
Here each such act is asked of the role that it would need on AWS, so that a grant that is missing in the template fails in the world too.
Only imported in ministack's process.
"""

import contextvars
import functools
import json
import logging
from collections import deque
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import eventbridge, iam, stepfunctions

Document = dict[str, Any]
log = logging.getLogger(__name__)
_role: contextvars.ContextVar[str] = contextvars.ContextVar("state_machine_role", default="")
ANY = ""
"""A resource that cannot be told from the request: it is enough that the action is allowed on something."""
_NAMES = {"sfn": "states", "eventbridge": "events", "cloudwatchlogs": "logs"}
_NESTED = ("events:PutTargets", "events:PutRule", "events:DescribeRule")
_TARGETS = {
    "states": "states:StartExecution",
    "lambda": "lambda:InvokeFunction",
    "sqs": "sqs:SendMessage",
    "sns": "sns:Publish",
    "events": "events:PutEvents",
}


class Roles:
    """Judges acts by deployed roles; `denials` keeps the last that were refused."""

    def __init__(self, account: str, region: str) -> None:
        self.account, self.region = account, region
        self.denials: deque[Document] = deque(maxlen=200)

    def install(self) -> None:
        """Put the checks around ministack's own acts."""
        stepfunctions._execute_task = self._with_role(stepfunctions._execute_task)
        stepfunctions._invoke_resource = self._checked(stepfunctions._invoke_resource)
        stepfunctions._invoke_with_callback = self._checked(stepfunctions._invoke_with_callback)
        stepfunctions._run_distributed_map = self._checked_map(stepfunctions._run_distributed_map)
        eventbridge._invoke_target = self._checked_target(eventbridge._invoke_target)

    def refusal(self, role_arn: str, service: str, action: str, resource: str) -> str:
        """Why `service`, with this role, may not do it; "" where it may."""
        name = role_arn.rpartition("/")[2]
        role = iam._roles.get_scoped(self.account, None, name)
        if role is None:
            return f"{service} is unable to assume the role {role_arn or '(none)'}"
        if not trusts(role.get("AssumeRolePolicyDocument"), service, self.account):
            return f"{service} is unable to assume the role {role_arn}: its trust policy does not name it"
        policies = iam_evaluator._gather_role_policies(name, self.account)
        if resource == ANY:
            allowed = any(s.effect == "Allow" and iam_evaluator._action_matches(action, s.actions, s.not_actions) for p in policies for s in p)
        else:
            context = iam_evaluator.EvalContext(
                principal_arn=f"arn:aws:sts::{self.account}:assumed-role/{name}/world",
                principal_type="AssumedRole",
                principal_account=self.account,
                action=action,
                resource_arn=resource,
                region=self.region,
            )
            allowed = (
                iam_evaluator.evaluate(context, policies, *iam_evaluator._permissions_boundary(iam._roles, name, self.account)).decision
                == "Allow"
            )
        if allowed:
            return ""
        return f"User: {role_arn} is not authorized to perform: {action} on resource: {resource or 'any'} because no identity-based policy allows it"

    def _note(self, who: str, reason: str) -> None:
        log.warning("denied: %s: %s", who, reason)
        self.denials.append({"who": who, "reason": reason})

    def _with_role(self, execute: Any) -> Any:
        @functools.wraps(execute)
        def run(state: Document, given: Any, execution: Any, context: Document) -> Any:
            arn = (execution or {}).get("stateMachineArn") or context.get("StateMachine", {}).get("Id", "")
            machine = stepfunctions._state_machines.get(arn) or stepfunctions._resolve_state_machine_arn(arn) or {}
            token = _role.set(machine.get("roleArn", "") if isinstance(machine, dict) else "")
            try:
                return execute(state, given, execution, context)
            finally:
                _role.reset(token)

        return run

    def _checked(self, invoke: Any) -> Any:
        @functools.wraps(invoke)
        def run(resource: str, given: Any, *more: Any) -> Any:
            for action, target in self.needs(resource, given if isinstance(given, dict) else {}):
                reason = self.refusal(_role.get(), "states.amazonaws.com", action, target)
                if reason:
                    self._note(resource, reason)
                    raise stepfunctions._ExecutionError(_error_name(resource, action), reason)
            return invoke(resource, given, *more)

        return run

    def _checked_map(self, run_map: Any) -> Any:
        @functools.wraps(run_map)
        def run(state: Document, given: Any, effective: Any, iterator: Any, execution: Any, context: Document) -> Any:
            arn = (execution or {}).get("stateMachineArn", "")
            machine = stepfunctions._state_machines.get(arn) or {}
            reason = self.refusal(machine.get("roleArn", ""), "states.amazonaws.com", "states:StartExecution", arn)
            if reason:
                self._note("distributed map", reason)
                raise stepfunctions._ExecutionError("States.Permissions", reason)
            return run_map(state, given, effective, iterator, execution, context)

        return run

    def _checked_target(self, invoke: Any) -> Any:
        @functools.wraps(invoke)
        def run(target: Document, event: Document, rule: Document, view: Any = None) -> Any:
            arn, role = target.get("Arn", ""), target.get("RoleArn", "")
            service = arn.split(":")[2] if arn.count(":") >= 5 else ""
            by = "scheduler.amazonaws.com" if "ScheduleExpression" in rule and "Target" in rule else "events.amazonaws.com"
            if service in _TARGETS and (role or service == "states"):
                reason = self.refusal(role, by, _TARGETS[service], arn)
                if reason:
                    self._note(f"{by} -> {arn}", reason)
                    return None
            return invoke(target, event, rule, view)

        return run

    def needs(self, resource: str, given: Document) -> list[tuple[str, str]]:
        """What a task needs: (action, resource) pairs."""
        name = resource.replace(".waitForTaskToken", "")
        if ":::" not in name:
            return [("lambda:InvokeFunction", name)] if ":function:" in name else []
        kind, _, operation = name.partition(":::")[2].partition(":")
        if kind == "aws-sdk":
            service, _, operation = operation.partition(":")
            kind = _NAMES.get(service, service)
        operation = operation.partition(".")[0]
        action = f"{kind}:{operation[:1].upper()}{operation[1:]}"
        if kind == "lambda":
            return [("lambda:InvokeFunction", self._function(str(given.get("FunctionName", ""))))]
        nested = [(extra, ANY) for extra in _NESTED] if ".sync" in name and kind == "states" else []
        return [(action, self._target(kind, given)), *nested]

    def _target(self, kind: str, given: Document) -> str:
        """The resource that a request of an integration names, or ANY."""
        if kind == "dynamodb":
            table = str(given.get("TableName", ""))
            return table if table.startswith("arn:") or not table else f"arn:aws:dynamodb:{self.region}:{self.account}:table/{table}"
        if kind == "sqs" and given.get("QueueUrl"):
            return f"arn:aws:sqs:{self.region}:{self.account}:{str(given['QueueUrl']).rpartition('/')[2]}"
        if kind == "s3" and given.get("Bucket"):
            return f"arn:aws:s3:::{given['Bucket']}" + (f"/{given['Key']}" if given.get("Key") else "")
        if kind == "events" and given.get("Entries"):
            bus = str(given["Entries"][0].get("EventBusName", "default"))
            return bus if bus.startswith("arn:") else f"arn:aws:events:{self.region}:{self.account}:event-bus/{bus}"
        return str(given.get("StateMachineArn") or given.get("TopicArn") or ANY)

    def _function(self, name: str) -> str:
        return name if name.startswith("arn:") else f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"


def trusts(document: Any, service: str, account: str) -> bool:
    """Whether a trust policy lets a service assume the role for what `account` does; other conditions are not asked here."""
    if isinstance(document, str):
        document = json.loads(document)
    statements = (document or {}).get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        wanted = statement.get("Condition", {}).get("StringEquals", {}).get("aws:SourceAccount", account)
        named = iam_evaluator._service_principal_matches(statement.get("Principal"), service)
        if statement.get("Effect") == "Allow" and named and account in (wanted if isinstance(wanted, list) else [wanted]):
            return True
    return False


def _error_name(resource: str, action: str) -> str:
    """The error's name as Step Functions gives it: of the integration's service, e.g. DynamoDB.AmazonDynamoDBException."""
    service = action.partition(":")[0]
    if "aws-sdk" in resource:
        return f"{service.capitalize()}.AccessDeniedException"
    known = {
        "lambda": "Lambda.AWSLambdaException",
        "dynamodb": "DynamoDB.AmazonDynamoDBException",
        "states": "StepFunctions.AWSStepFunctionsException",
    }
    return known.get(service, f"{service.capitalize()}.AccessDeniedException")
