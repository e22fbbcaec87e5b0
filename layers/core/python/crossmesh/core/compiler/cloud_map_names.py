"""Names, keys and values that Cloud Map refuses (patterns of its API model, 2017-03-14), told
before anything is deployed. Pure.
"""

import re

from crossmesh.core.compiler.findings import Findings
from crossmesh.core.documents import Document

_FIELD = "spec.serviceDiscovery.awsCloudMap"
_LABEL = r"(?:[a-zA-Z0-9_][a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_]|[a-zA-Z0-9])"
_SERVICE = re.compile(rf"(?=.{{1,127}}\Z){_LABEL}(?:\.{_LABEL})*|\.").fullmatch  # ServiceName
# NamespaceNameHttp, the widest of the three
_NAMESPACE = re.compile(r"(?!arn:)[!-~]{1,1024}").fullmatch
_KEY = re.compile(r"[!-~]{1,255}").fullmatch  # AttrKey
_VALUE = re.compile(r"(?:[!-~][ \t!-~]{0,1023})?").fullmatch  # AttrValue


def check(document: Document, findings: Findings) -> None:
    """Report what Cloud Map would refuse in a virtual node's serviceDiscovery."""
    found = (document.spec.get("serviceDiscovery") or {}).get("awsCloudMap") or {}
    service, namespace = found.get("serviceName", ""), found.get("namespaceName", "")
    if service and not _SERVICE(service):
        fix = "letters, digits, _ and -, in parts of 2 to 63 (or one letter or digit) with dots between; 127 in all"
        _refused(
            document,
            f"{_FIELD}.serviceName",
            f"Cloud Map takes no service of the name {_shown(service)}",
            fix,
            findings,
        )
    if namespace and not _NAMESPACE(namespace):
        fix = "visible ASCII characters without spaces, and no ARN: the namespace's name"
        _refused(
            document,
            f"{_FIELD}.namespaceName",
            f"Cloud Map takes no namespace of the name {_shown(namespace)}",
            fix,
            findings,
        )
    for index, item in enumerate(found.get("attributes") or ()):
        key, value = item.get("key", ""), item.get("value", "")
        field = f"{_FIELD}.attributes[{index}]"
        if key and not _KEY(key):
            _refused(
                document,
                f"{field}.key",
                f"Cloud Map takes no attribute {_shown(key)}",
                "visible ASCII characters without spaces",
                findings,
            )
        if not _VALUE(value):
            fix = "ASCII characters, the first one no space"
            _refused(
                document,
                f"{field}.value",
                f"Cloud Map takes no value {_shown(value)} of attribute {_shown(key)}",
                fix,
                findings,
            )


def _refused(document: Document, field: str, message: str, fix: str, findings: Findings) -> None:
    if not document.doubts(field):
        findings.error(document, field, "cloud-map-refuses", message, fix)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")
