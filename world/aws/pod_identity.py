"""What EKS Auth does for a pod: assume the role of its service account's association as pods.eks.amazonaws.com, with the pod's session tags.

STS's own AssumeRole knows callers, not services, so this runs in ministack's process and is only imported there.
"""

import time
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import iam, sts

from world.aws.roles import trusts

Document = dict[str, Any]
SERVICE = "pods.eks.amazonaws.com"
LIFE_S = 3_600


class NotTrusted(Exception):
    """The role does not let pods have it; the message says which action was refused."""


def credentials(account: str, region: str, role_arn: str, session: str, tags: dict[str, str]) -> Document:
    """Temporary credentials as the container credential provider returns them. Raises NotTrusted."""
    name = role_arn.rpartition("/")[2]
    role = iam._roles.get_scoped(account, None, name)
    for action in ("sts:AssumeRole", "sts:TagSession"):
        if role is None or not _allowed(role.get("AssumeRolePolicyDocument"), account, region, role_arn, action, tags):
            raise NotTrusted(f"{SERVICE} is not authorized to perform: {action} on resource: {role_arn}")
    key, secret, token = iam._gen_session_access_key(), iam._gen_secret(), iam._gen_session_token()
    until = time.time() + LIFE_S
    session_of_role = {
        "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
        "UserId": f"{role['RoleId']}:{session}",
        "SecretAccessKey": secret,
        "SessionToken": token,
        "Expiration": until,
        "AccountId": account,
        "PrincipalType": "AssumedRole",
        "SessionTags": [{"Key": tag, "Value": value} for tag, value in tags.items()],
        "SessionPolicies": None,
    }
    sts.register_session(key, session_of_role)
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
    return {"AccessKeyId": key, "SecretAccessKey": secret, "Token": token, "AccountId": account, "Expiration": later}


def _allowed(document: Any, account: str, region: str, role_arn: str, action: str, tags: dict[str, str]) -> bool:
    """ministack's evaluator takes any service's statement for the account's root; that it names this service is asked apart."""
    root = f"arn:aws:iam::{account}:root"
    context = iam_evaluator.EvalContext(
        principal_arn=root,
        principal_type="Root",
        principal_account=account,
        action=action,
        resource_arn=role_arn,
        region=region,
        request_tags=tags,
        tag_keys=list(tags),
        service_context={"aws:sourceaccount": account},
    )
    return trusts(document, SERVICE, account) and bool(iam_evaluator.evaluate_trust_policy(document, root, context))
