"""CloudTrail's events of successful writes, as EventBridge delivers them ("AWS API Call via CloudTrail")."""

import uuid
from datetime import UTC, datetime
from typing import Any

from botocore.model import OperationModel, Shape

from world.aws.identity import Identity

Document = dict[str, Any]
_READS = ("Describe", "Get", "List", "Discover", "BatchGet", "Put")
_SOURCES = {"elb": "elasticloadbalancing"}


def is_write(operation: str) -> bool:
    """Whether CloudTrail would deliver it to EventBridge as a write."""
    return not operation.startswith(_READS)


def event(
    service: str,
    operation: OperationModel,
    identity: Identity,
    request: Document,
    output: Document,
    *,
    region: str,
    request_id: str,
    agent: str,
    address: str,
    now: float,
) -> Document:
    """A complete EventBridge event."""
    source = _SOURCES.get(service, service)
    time = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    detail = {
        "eventVersion": "1.09",
        "userIdentity": _user(identity),
        "eventTime": time,
        "eventSource": f"{source}.amazonaws.com",
        "eventName": operation.name,
        "awsRegion": region,
        "sourceIPAddress": address,
        "userAgent": agent,
        "requestParameters": _lowered(operation.input_shape, request),
        "responseElements": _lowered(operation.output_shape, output) or None,
        "requestID": request_id,
        "eventID": str(uuid.uuid4()),
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": identity.account,
        "eventCategory": "Management",
    }
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "AWS API Call via CloudTrail",
        "source": f"aws.{source}",
        "account": identity.account,
        "time": time,
        "region": region,
        "resources": [],
        "detail": detail,
    }


def _user(identity: Identity) -> Document:
    user: Document = {
        "type": identity.kind,
        "principalId": identity.principal_id,
        "arn": identity.arn,
        "accountId": identity.account,
        "accessKeyId": identity.access_key_id,
    }
    if identity.kind == "IAMUser":
        return user | {"userName": identity.name}
    issuer = {
        "type": "Role",
        "principalId": identity.principal_id.partition(":")[0],
        "arn": identity.issuer_arn,
        "accountId": identity.account,
        "userName": identity.name,
    }
    return user | {"sessionContext": {"sessionIssuer": issuer, "attributes": {"mfaAuthenticated": "false"}}}


def _lowered(shape: Shape | None, value: Any) -> Any:
    """A document with its members' first letters in lower case, as CloudTrail writes them; keys of maps stay."""
    if shape is None or value is None:
        return None
    if shape.type_name == "structure":
        return {
            name[:1].lower() + name[1:]: _lowered(member, value[name])
            for name, member in shape.members.items()
            if isinstance(value, dict) and name in value
        }
    if shape.type_name == "list":
        return [_lowered(shape.member, item) for item in value]
    if shape.type_name == "map":
        return {key: _lowered(shape.value, item) for key, item in value.items()}
    return value
