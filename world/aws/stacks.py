"""Events of CloudFormation about stacks, as AWS delivers them to the default bus: the emulator has none."""

from collections.abc import Callable
from typing import Any

from ministack.services.cloudformation import stacks

from world.aws.watching import after

Document = dict[str, Any]
_STACK = "AWS::CloudFormation::Stack"


def install(emit: Callable[[Document], Document]) -> None:
    """Publish an event at each change of a stack's status. Source: CloudFormation user guide, "Managing events with Amazon EventBridge"."""

    def changed(stack_id: str, stack_name: str, logical_id: str, resource_type: str, status: str, reason: str = "", *_: Any, **__: Any) -> None:
        if resource_type == _STACK and logical_id == stack_name:
            detail = {"stack-id": stack_id, "status-details": {"status": status, "status-reason": reason}, "client-request-token": ""}
            emit(
                {"source": "aws.cloudformation", "detail-type": "CloudFormation Stack Status Change", "detail": detail, "resources": [stack_id]}
            )

    stacks._add_event = after(stacks._add_event, changed)
