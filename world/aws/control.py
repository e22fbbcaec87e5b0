"""The control server in ministack's process: events of AWS's own sources, whose a key is, what a policy allows.

Only imported there, after the environment is prepared.
"""

import json
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import eventbridge, iam, sts

from world.aws import condition_keys, stacks
from world.aws.alarms import Alarms
from world.aws.invocations import REQUESTS, Invocations
from world.aws.pod_identity import NotTrusted, credentials
from world.aws.roles import Roles

Document = dict[str, Any]
log = logging.getLogger(__name__)


class Refusal(Exception):
    """A key that is nobody's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Control:
    """What the server does, apart from HTTP."""

    def __init__(self, account: str, region: str) -> None:
        self.account, self.region = account, region
        self._emitting = threading.Lock()
        self.roles = Roles(account, region)
        self.roles.install()
        self.alarms = Alarms(self.emit)
        self.alarms.install()
        stacks.install(self.emit)
        condition_keys.install()

    def identity(self, request: Document) -> Document:
        """Whose a key is, with its secret for checking signatures. Built-in root keys are nobody's: their signatures would go unchecked."""
        try:
            credential = self._credential(request)
        except Refusal as refusal:
            return {"code": refusal.code, "message": refusal.message}
        user = credential.principal_type == "User"
        name = credential.principal_name if user else credential.principal_arn.split("/")[1]
        role = {} if user else (iam._roles.get_scoped(self.account, None, name) or {})
        return {
            "secret": credential.secret_access_key,
            "arn": credential.principal_arn,
            "kind": "IAMUser" if user else "AssumedRole",
            "name": name,
            "principal_id": credential.principal_id,
            "account": credential.account_id,
            "issuer_arn": credential.principal_arn if user else role.get("Arn", f"arn:aws:iam::{self.account}:role/{name}"),
        }

    def _credential(self, request: Document) -> Any:
        key = request.get("access_key_id", "")
        if not key or iam_evaluator.is_root_access_key(key):
            raise Refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
        found = iam_evaluator.resolve_credential(key, self.account, request.get("session_token") or "")
        if isinstance(found, iam_evaluator.CredentialResolutionError):
            raise Refusal("ExpiredTokenException" if "xpired" in found.code else "UnrecognizedClientException", found.message)
        return found

    def authorise(self, request: Document) -> Document:
        """Judge one `action` on `resource`, or several `checks`, by the caller's policies as they are deployed now."""
        checks = request.get("checks") or [{name: request.get(name) for name in ("action", "resource", "context")}]
        try:
            credential = self._credential(request)
            principal = iam_evaluator.resolve_principal(request["access_key_id"], self.account, credential)
        except Refusal as refusal:
            results = [{"allowed": False, "reason": refusal.message} for _ in checks]
            return {"allowed": False, "principal_arn": "", "reason": refusal.message, "results": results}
        results = [self._judge(principal, check) for check in checks]
        return {"principal_arn": principal.arn, "results": results, **results[0], "allowed": all(result["allowed"] for result in results)}

    def _judge(self, principal: Any, check: Document) -> Document:
        context = iam_evaluator.EvalContext(
            principal_arn=principal.arn,
            principal_type=principal.type,
            principal_account=principal.account,
            action=check["action"],
            resource_arn=check.get("resource") or "*",
            region=self.region,
            service_context={key.lower(): value for key, value in (check.get("context") or {}).items()},
            principal_keys=principal.keys,
        )
        verdict = iam_evaluator.evaluate(context, principal.policies or [], *principal.limits)
        if verdict.decision == "Allow":
            return {"allowed": True, "reason": ""}
        if verdict.decision == "Deny":
            return {"allowed": False, "reason": "with an explicit deny in an identity-based policy"}
        return {"allowed": False, "reason": f"because no identity-based policy allows the {check['action']} action"}

    def emit(self, event: Document) -> Document:
        """Publish on the default bus through ministack's own emitter, which alone may use `aws.*` sources. Resources and detail are kept;
        id and time are given anew, as PutEvents does."""
        entry = {
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"]),
            "Resources": event.get("resources", []),
            "EventBusName": event.get("bus", "default"),
        }
        with self._emitting:
            status, _, body = eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
        answer = json.loads(body)
        return {"status": status, "event_id": answer.get("Entries", [{}])[0].get("EventId"), "failed": answer.get("FailedEntryCount", 0)}

    def denials(self, _: Document) -> Document:
        """What state machines, rules and schedules were not allowed, latest last."""
        return {"denials": list(self.roles.denials)}

    def pod_identity(self, request: Document) -> Document:
        """Credentials of `role_arn` for a pod, or why it gets none."""
        try:
            return credentials(self.account, self.region, request["role_arn"], request["session"], request["tags"])
        except NotTrusted as error:
            log.warning("denied: %s", error)
            return {"refused": str(error)}

    def health(self, _: Document) -> Document:
        """Whether it serves."""
        return {"ok": True, "sessions": len(sts._sessions)}


def start_control(world: Document) -> ThreadingHTTPServer:
    """Serve in threads that end with the process."""
    control = Control(world["account"], world["region"])
    invocations = Invocations(world)
    invocations.install()
    routes: dict[tuple[str, str], Callable[[Document], Document]] = {
        ("GET", "/_world/health"): control.health,
        ("GET", "/_world/denials"): control.denials,
        ("POST", "/_world/identity"): control.identity,
        ("POST", "/_world/authorise"): control.authorise,
        ("POST", "/_world/emit"): control.emit,
        ("GET", "/_world/alarms"): control.alarms.states,
        ("POST", "/_world/alarms/pass"): control.alarms.pass_time,
        ("GET", "/_world/mail"): control.alarms.inbox,
        ("GET", "/_world/metrics"): control.alarms.series,
        ("GET", "/_world/invocations"): invocations.shown,
        ("GET", "/_world/requests"): REQUESTS.shown,
        ("POST", "/_world/pod-identity"): control.pod_identity,
    }

    class Handler(BaseHTTPRequestHandler):
        """One connection."""

        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            handle = routes.get((self.command, self.path))
            try:
                status, answer = (200, handle(json.loads(body or b"{}"))) if handle else (404, {"message": "no such path"})
            except (KeyError, ValueError, TypeError) as error:
                status, answer = 400, {"message": f"{type(error).__name__}: {error}"}
            except Exception as error:
                log.exception("control %s", self.path)
                status, answer = 500, {"message": f"{type(error).__name__}: {error}"}
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)
            self.wfile.flush()

        do_GET = do_POST = _answer  # noqa: N815 - names that http.server asks for

        def log_message(self, format: str, *arguments: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", world["ports"]["control"]), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True, name="control").start()
    return server
