"""Label selectors as manifests write them, and the mistakes that Kubernetes refuses in them (metav1.LabelSelectorAsSelector)."""

from typing import Any

from crossmesh.core.documents import Document
from crossmesh.core.findings import Findings
from crossmesh.core.topology import LabelSelector, Requirement


def selector_of(raw: Any) -> LabelSelector | None:
    """The selector; None, which fits nothing, where there is none. An empty one fits everything."""
    if not isinstance(raw, dict):
        return None
    needs = tuple(
        Requirement(key=need["key"], operator=need["operator"], values=tuple(need.get("values", ())))
        for need in raw.get("matchExpressions", ())
        if "key" in need and "operator" in need
    )
    return LabelSelector(labels=tuple(sorted(raw.get("matchLabels", {}).items())), requirements=needs)


def check_selector(document: Document, field: str, findings: Findings) -> None:
    """Report expressions whose operator and values do not go together."""
    raw = document.spec.get(field.removeprefix("spec."))
    for index, need in enumerate((raw or {}).get("matchExpressions", ())):
        operator, values = need.get("operator"), need.get("values", ())
        here = f"{field}.matchExpressions[{index}]"
        if operator in ("In", "NotIn") and not values:
            findings.absent(document, here, "bad-selector", f"{operator} without values", "give at least one value")
        if operator in ("Exists", "DoesNotExist") and values:
            findings.error(document, f"{here}.values", "bad-selector", f"{operator} takes no values", "leave values out")
