"""Alarms that really fire: the deployed ones, evaluated over what the deployed application measured. Runs in ministack's process.

ministack keeps alarms, sends to SNS and stores logs, but takes no metrics from logs and never evaluates by the clock. Here metrics come from the embedded
format in functions' logs, from ends of executions, from Lambda's own and from the depth of queues; whoever is subscribed to a topic by mail has an inbox.

**The alarm clock can be put forward**: `pass_time(60)` lets a minute pass for alarms only, so that "30 minutes" takes as long as six looks. Left alone it
runs with real time. Nothing else in the world knows of it.
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ministack.services import cloudwatch, cloudwatch_logs, sns, sqs, stepfunctions

from world.aws.models.alarms import Datum, Document, Metric, Metrics, embedded, judge, state_change
from world.aws.watching import after

log = logging.getLogger(__name__)
EVERY_S = 60.0  # CloudWatch evaluates alarms of a period of a minute or more once a minute
_STATES = {"SUCCEEDED": "ExecutionsSucceeded", "FAILED": "ExecutionsFailed", "TIMED_OUT": "ExecutionsTimedOut", "ABORTED": "ExecutionsAborted"}


class Alarms:
    """`emit` publishes an event on the default bus (`Control.emit`)."""

    def __init__(self, emit: Callable[[Document], Document]) -> None:
        self._emit = emit
        self.metrics = Metrics()
        self.mails: deque[Document] = deque(maxlen=1000)
        self.history: deque[Document] = deque(maxlen=1000)
        self._ahead = 0.0
        self._evaluated = time.time() // EVERY_S * EVERY_S
        self._lock = threading.RLock()

    def install(self) -> None:
        """Listen to what ministack does, and evaluate in its place."""
        cloudwatch_logs._append_log_events = after(cloudwatch_logs._append_log_events, self._logged)
        stepfunctions._emit_execution_status_event = after(stepfunctions._emit_execution_status_event, self._executed)
        cloudwatch.record_metric = after(cloudwatch.record_metric, self._recorded)
        cloudwatch._store_datum = after(cloudwatch._store_datum, self._stored)
        sns._fanout = after(sns._fanout, self._mailed)
        cloudwatch._evaluate_alarm = lambda _: None
        threading.Thread(target=self._follow, daemon=True, name="alarms").start()

    def now(self) -> float:
        """The alarm clock."""
        return time.time() + self._ahead

    def pass_time(self, request: Document) -> Document:
        """Put the alarm clock forward by `seconds`, evaluating at each minute on the way. Answers the states."""
        with self._lock:
            self._ahead += float(request["seconds"])
            self._evaluate()
        return self.states({})

    def states(self, _: Document) -> Document:
        """Each alarm's state and reason."""
        alarms = sorted(cloudwatch._alarms.values(), key=lambda alarm: str(alarm["AlarmName"]))
        return {"now": self.now(), "alarms": {a["AlarmName"]: {"state": a["StateValue"], "reason": a.get("StateReason", "")} for a in alarms}}

    def inbox(self, _: Document) -> Document:
        """Mails, oldest first, and all changes of state."""
        return {"mails": list(self.mails), "changes": list(self.history)}

    def series(self, _: Document) -> Document:
        """Every metric with its datapoints."""
        return {"metrics": [{**metric._asdict(), "points": self.metrics.points(metric)} for metric in self.metrics.names()]}

    def _follow(self) -> None:
        while True:
            time.sleep(0.5)
            with self._lock:
                try:
                    self._evaluate()
                except Exception:
                    log.exception("alarms")

    def _evaluate(self) -> None:
        """At every minute that has begun since the last evaluation."""
        while self._evaluated + EVERY_S <= self.now():
            self._evaluated += EVERY_S
            self._measure_queues(self._evaluated - 1)
            for alarm in list(cloudwatch._alarms.values()):
                state, reason = judge(alarm, self.metrics, self._evaluated)
                if state != alarm["StateValue"]:
                    self._change(alarm, state, reason)

    def _change(self, alarm: Document, state: str, reason: str) -> None:
        """As CloudWatch does: the state, the actions, an event."""
        old, at = alarm["StateValue"], datetime.fromtimestamp(self._evaluated, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        cloudwatch._set_alarm_state({}, {"AlarmName": alarm["AlarmName"], "StateValue": state, "StateReason": reason}, False, True)
        self.history.append({"at": self._evaluated, "alarm": alarm["AlarmName"], "old": old, "new": state, "reason": reason})
        self._emit(
            {
                "source": "aws.cloudwatch",
                "detail-type": "CloudWatch Alarm State Change",
                "resources": [alarm.get("AlarmArn", "")],
                "detail": state_change(alarm, old, state, reason, at),
            }
        )

    def _put(self, metric: Metric, value: float, unit: str = "Count") -> None:
        with self._lock:
            self.metrics.put(Datum(metric, self.now(), value, unit))

    def _logged(self, _stream: Document, events: list[Document]) -> None:
        """Also kept by ministack, under real time, for whoever asks its API for statistics."""
        for item in events:
            for datum in embedded(item["message"], self.now()):
                self._put(datum.metric, datum.value, datum.unit)
                record = cloudwatch.record_metric.__wrapped__  # type: ignore[attr-defined]
                record(datum.metric.namespace, datum.metric.name, datum.value, datum.unit, dict(datum.metric.dimensions))

    def _executed(self, execution: Document) -> None:
        machine = (("StateMachineArn", str(execution["stateMachineArn"])),)
        name = _STATES.get(execution["status"], "ExecutionsStarted")
        cloudwatch.record_metric("AWS/States", name, 1.0, "Count", dict(machine))
        if execution.get("stopDate"):
            spent = _seconds(execution["stopDate"]) - _seconds(execution["startDate"])
            cloudwatch.record_metric("AWS/States", "ExecutionTime", spent * 1000, "Milliseconds", dict(machine))

    def _recorded(self, namespace: str, name: str, value: float, unit: str = "None", dimensions: dict[str, str] | None = None) -> None:
        self._put(Metric(namespace, name, tuple(sorted((dimensions or {}).items()))), float(value), unit)

    def _stored(
        self, namespace: str, name: str, dimensions: dict[str, str], at: float, unit: str, value: Any = None, *_: Any, **__: Any
    ) -> None:
        """A plain value of PutMetricData, under the alarm clock."""
        if value is not None:
            with self._lock:
                metric = Metric(namespace, name, tuple(sorted(dimensions.items())))
                self.metrics.put(Datum(metric, at + self._ahead, float(value), unit))

    def _measure_queues(self, at: float) -> None:
        for queue in list(sqs._queues.values()):
            visible = sum(1 for message in queue["messages"] if message["visible_at"] <= time.time())
            metric = Metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", (("QueueName", str(queue["name"])),))
            self.metrics.put(Datum(metric, at, float(visible)))

    def _mailed(self, topic_arn: str, _id: str, message: str, subject: str, *_: Any, **__: Any) -> None:
        """What a person subscribed by mail gets (on AWS only after clicking in the first one)."""
        topic = sns._topic_by_arn_any_scope(topic_arn) or {"subscriptions": []}
        for to in [s["endpoint"] for s in topic["subscriptions"] if s.get("protocol") == "email" and s.get("confirmed")]:
            try:
                told = json.loads(message)
            except ValueError:
                told = {}
            self.mails.append(
                {
                    "at": self.now(),
                    "to": to,
                    "subject": subject,
                    "alarm": told.get("AlarmName", ""),
                    "state": told.get("NewStateValue", ""),
                    "text": f"{told.get('AlarmDescription', message)}\n\n{told.get('NewStateReason', '')}",
                }
            )


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
