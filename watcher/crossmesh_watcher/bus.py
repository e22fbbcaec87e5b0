"""The stack's event bus. One event says "look now"; its detail names the cluster, for people, and
carries nothing to apply.
"""

import json
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

SOURCE, DETAIL_TYPE = "crossmesh.watcher", "Pods changed"
CONNECT_S, READ_S = 2.0, 5.0


class NotSent(RuntimeError):
    """The bus did not take the event; the message says why."""


class Bus:
    """PutEvents with whatever credentials the pod was given (EKS Pod Identity, IRSA), found and
    renewed by botocore. One attempt a call: when to try again is the caller's to decide.
    """

    def __init__(self, bus: str, region: str, cluster: str) -> None:
        settings = Config(
            connect_timeout=CONNECT_S, read_timeout=READ_S, retries={"total_max_attempts": 1}, tcp_keepalive=True
        )
        self._client: Any = Session().create_client("events", region_name=region, config=settings)
        self._entry = {
            "EventBusName": bus,
            "Source": SOURCE,
            "DetailType": DETAIL_TYPE,
            "Detail": json.dumps({"cluster": cluster}),
        }

    def send(self) -> None:
        """One hint. Raises NotSent."""
        try:
            answer = self._client.put_events(Entries=[self._entry])
        except (BotoCoreError, ClientError) as error:
            raise NotSent(f"{type(error).__name__}: {error}") from error
        if answer["FailedEntryCount"]:  # a 200 is not success
            entry = answer["Entries"][0]
            raise NotSent(f"{entry.get('ErrorCode')}: {entry.get('ErrorMessage')}")
