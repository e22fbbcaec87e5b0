"""Condition keys that the emulator's IAM lacks: DynamoDB's partition key, EventBridge's source and type, tags of security groups.

The template's roles are limited by them. Source: Service Authorization Reference, condition keys of DynamoDB, EventBridge and EC2.
"""

import json
from collections.abc import Iterator
from typing import Any

from ministack.core import iam_actions
from ministack.core.responses import get_account_id, get_region
from ministack.services import ec2, tagging

HASH_KEY = "id"  # of the one table


def install() -> None:
    """Add the keys to what a request carries."""
    known = iam_actions.request_tag_context

    def with_keys(service: str, action: str, body: bytes, *rest: Any) -> dict[str, Any]:
        context: dict[str, Any] = known(service, action, body, *rest)
        try:
            request = json.loads(body or b"{}") if service in ("dynamodb", "events") else {}
            return context | _keys(action, request)
        except (ValueError, AttributeError, TypeError):
            return context

    iam_actions.request_tag_context = with_keys
    tagging._RESOURCE_TAG_COLLECTORS["ec2"] = _groups


def _groups() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Security groups with their tags, as (ARN, tags)."""
    for group in ec2._security_groups:
        yield f"arn:aws:ec2:{get_region()}:{get_account_id()}:security-group/{group}", ec2._tags.get(group, [])


def _keys(action: str, request: dict[str, Any]) -> dict[str, Any]:
    if action == "events:PutEvents":
        entries = request.get("Entries", [])
        return {
            "events:source": [entry.get("Source", "") for entry in entries],
            "events:detail-type": [entry.get("DetailType", "") for entry in entries],
        }
    key = (request.get("Item") or request.get("Key") or {}).get(HASH_KEY, {}).get("S") if action.startswith("dynamodb:") else None
    return {"dynamodb:LeadingKeys": [key]} if key else {}
