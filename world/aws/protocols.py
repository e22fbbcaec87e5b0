"""AWS's protocols over botocore's service models: from an HTTP request to an operation and its input, from an output to an answer.

Three protocols: json (Cloud Map), rest-json (App Mesh, EKS, X-Ray) and query (classic ELB).
"""

import json
import re
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape

from world.aws.models.errors import AwsError
from world.aws.shapes import Check, checker, member_name

Document = dict[str, Any]
INVALID = {
    "servicediscovery": "InvalidInput",
    "appmesh": "BadRequestException",
    "eks": "InvalidParameterException",
    "elb": "ValidationError",
    "xray": "InvalidRequestException",
}
FORBIDDEN = frozenset(
    [
        "AccessDeniedException",
        "AccessDenied",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "ExpiredTokenException",
        "ExpiredToken",
        "MissingAuthenticationTokenException",
        "MissingAuthenticationToken",
    ]
)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came: `path` and `query` raw."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer to send."""

    status: int
    headers: dict[str, str]
    body: bytes


class Protocol:
    """One service on the wire."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.model = ServiceModel(_loader().load_service_model(name, "service-2"))
        self.kind = self.model.metadata["protocol"]

    def parse(self, request: HttpRequest) -> tuple[str, Document]:
        """The operation and its checked input. Raises AwsError."""
        if self.kind == "rest-json":
            operation, raw = self._parse_rest(request)
        elif self.kind == "json":
            operation, raw = self._parse_target(request)
        else:
            operation, raw = self._parse_form(request)
        return operation, self.check(operation, raw)

    @cache  # noqa: B019 - lives as long as the process
    def _checker(self, operation: str) -> Check | None:
        shape = self.operation(operation).input_shape
        return checker(shape) if shape else None

    def check(self, operation: str, raw: Document) -> Document:
        """Raises the service's own error for a malformed request, naming every problem."""
        check, problems = self._checker(operation), []
        checked = check(raw, "", problems) if check else {}
        if problems:
            raise AwsError(INVALID[self.name], "; ".join(problem.removeprefix(".") for problem in problems))
        return checked

    @cache  # noqa: B019 - lives as long as the process
    def operation(self, name: str) -> OperationModel:
        """The operation's model. Raises AwsError for one that the service does not have."""
        if name not in self.model.operation_names:
            raise AwsError("UnknownOperationException", f"{self.name} has no operation {name}.")
        return self.model.operation_model(name)

    def _parse_target(self, request: HttpRequest) -> tuple[str, Document]:
        prefix, _, operation = request.headers.get("x-amz-target", "").partition(".")
        if prefix != self.model.metadata["targetPrefix"]:
            raise AwsError("UnknownOperationException", f"The target {prefix}.{operation} is not of {self.name}.")
        return operation, _json(request.body)

    @cached_property
    def _routes(self) -> dict[str, list[tuple[re.Pattern[str], str]]]:
        routes: dict[str, list[tuple[int, re.Pattern[str], str]]] = {}
        for name in self.model.operation_names:
            http = self.model.operation_model(name).http
            path = http["requestUri"].partition("?")[0]
            pattern = re.sub(r"\\\{(\w+)(\\\+)?\\\}", lambda m: f"(?P<{m[1]}>{'.+' if m[2] else '[^/]+'})", re.escape(path))
            routes.setdefault(http["method"], []).append((path.count("{"), re.compile(f"^{pattern}/?$"), name))
        return {method: [(pattern, name) for _, pattern, name in sorted(found, key=lambda r: r[0])] for method, found in routes.items()}

    def _route(self, request: HttpRequest) -> tuple[str, dict[str, str]]:
        """The operation at a path, and what the path names."""
        for pattern, operation in self._routes.get(request.method, ()):
            match = pattern.match(request.path)
            if match:
                return operation, match.groupdict()
        raise AwsError("UnknownOperationException", f"{self.name} has no operation at {request.method} {request.path}.")

    def _parse_rest(self, request: HttpRequest) -> tuple[str, Document]:
        operation, path = self._route(request)
        shape = self.operation(operation).input_shape
        if shape is None:
            return operation, {}
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        payload = shape.serialization.get("payload")
        body = _json(request.body) if request.body else {}
        raw: Document = {member_name(shape.members[payload], payload): body} if payload else dict(body)
        for name, member in shape.members.items():
            wire, place = member_name(member, name), member.serialization.get("location")
            given = {"uri": path.get(wire), "querystring": query.get(wire), "header": request.headers.get(wire.lower())}.get(place)
            if given is not None:
                raw[wire] = _typed(member, unquote(given) if place == "uri" else given)
        return operation, raw

    def _parse_form(self, request: HttpRequest) -> tuple[str, Document]:
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True)) or dict(parse_qsl(request.query, keep_blank_values=True))
        operation = form.pop("Action", "")
        form.pop("Version", None)
        shape = self.operation(operation).input_shape
        return operation, _from_form(shape, form, "") or {} if shape else {}

    def answer(self, operation: str, output: Document, request_id: str) -> HttpAnswer:
        """An output on the wire."""
        shape = self.operation(operation).output_shape
        if self.kind == "query":
            name = self.model.metadata["xmlNamespace"]
            inner = f"<{operation}Result>{_to_xml(shape, output)}</{operation}Result>" if shape else ""
            text = f'<{operation}Response xmlns="{name}">{inner}<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>'
            return HttpAnswer(200, {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}, text.encode())
        payload = shape.serialization.get("payload") if shape else None
        body = output.get(payload, {}) if payload else output
        status = self.operation(operation).http.get("responseCode", 200)
        return HttpAnswer(status, self._headers(request_id), json.dumps(body).encode())

    def error(self, error: AwsError, request_id: str, status: int | None = None) -> HttpAnswer:
        """An error on the wire, with the HTTP status that the model gives it."""
        status = status or self._status(error.code)
        if self.kind == "query":
            kind = "Sender" if status < 500 else "Receiver"
            text = (
                f'<ErrorResponse xmlns="{self.model.metadata["xmlNamespace"]}"><Error><Type>{kind}</Type><Code>{error.code}</Code>'
                f"<Message>{escape(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
            )
            return HttpAnswer(status, {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}, text.encode())
        body = {"__type": error.code, "message": error.message, "Message": error.message, **error.members}
        return HttpAnswer(status, self._headers(request_id) | {"x-amzn-ErrorType": error.code}, json.dumps(body).encode())

    def _headers(self, request_id: str) -> dict[str, str]:
        kind = "application/x-amz-json-1.1" if self.kind == "json" else "application/json"
        return {"Content-Type": kind, "x-amzn-RequestId": request_id}

    def _status(self, code: str) -> int:
        for shape in self.model.error_shapes:
            if shape.name == code or shape.error_code == code:
                return shape.metadata.get("error", {}).get("httpStatusCode", 400)
        if code in FORBIDDEN:
            return 400 if self.kind == "json" else 403
        return {"UnknownOperationException": 404, "InternalFailure": 500, "ServiceUnavailable": 503}.get(code, 400)


@lru_cache(maxsize=1)
def _loader() -> Loader:
    return Loader()


def _json(body: bytes) -> Document:
    try:
        document = json.loads(body or b"{}")
    except ValueError as error:
        raise AwsError("SerializationException", "The body is not JSON.") from error
    if not isinstance(document, dict):
        raise AwsError("SerializationException", "The body is not a JSON object.")
    return document


def _typed(shape: Shape, text: str) -> Any:
    """A value out of a path, query or form, as JSON would have carried it."""
    try:
        if shape.type_name in ("integer", "long"):
            return int(text)
        if shape.type_name in ("float", "double"):
            return float(text)
    except ValueError:
        return text
    if shape.type_name == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    if shape.type_name == "timestamp":
        return float(text) if re.fullmatch(r"[\d.]+", text) else text
    return [text] if shape.type_name == "list" else text


def _from_form(shape: Shape, form: dict[str, str], prefix: str) -> Any:
    """A query-protocol form as a document; None where nothing of the shape is given."""
    if shape.type_name == "structure":
        found = {}
        for name, member in shape.members.items():
            value = _from_form(member, form, f"{prefix}.{member_name(member, name)}" if prefix else member_name(member, name))
            if value is not None:
                found[member_name(member, name)] = value
        return found or None
    if shape.type_name == "list":
        items, wire = [], "" if shape.serialization.get("flattened") else f".{shape.member.serialization.get('name', 'member')}"
        while (item := _from_form(shape.member, form, f"{prefix}{wire}.{len(items) + 1}")) is not None:
            items.append(item)
        return items or None
    return _typed(shape, form[prefix]) if prefix in form else None


def _to_xml(shape: Shape, value: Any) -> str:
    """A document as the query protocol's XML."""
    if shape.type_name == "structure":
        parts = []
        for name, member in shape.members.items():
            if value.get(name) is not None:
                wire = member_name(member, name)
                parts.append(f"<{wire}>{_to_xml(member, value[name])}</{wire}>")
        return "".join(parts)
    if shape.type_name == "list":
        wire = shape.member.serialization.get("name", "member")
        return "".join(f"<{wire}>{_to_xml(shape.member, item)}</{wire}>" for item in value)
    if shape.type_name == "boolean":
        return "true" if value else "false"
    return escape(str(value))
