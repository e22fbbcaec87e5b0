"""Label selectors as manifests write them, and the mistakes that Kubernetes refuses in them
(metav1.LabelSelectorAsSelector).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from crossmesh.core.compiler.findings import Findings
from crossmesh.core.documents import Document
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


class Unmet(msgspec.Struct, frozen=True, kw_only=True):
    """One demand of a selector that labels do not meet. `value` is what `matchLabels` asks for; ""
    for an expression.
    """

    key: str
    value: str = ""
    message: str


def unmet(selector: LabelSelector | None, labels: Mapping[str, str]) -> tuple[Unmet, ...]:
    """Every demand of `selector` that `labels` do not meet; none where it matches. No selector
    demands nothing here.
    """
    if selector is None:
        return ()
    found = [
        Unmet(key=key, value=value, message=f"the label {key}={value}, {_found(key, labels)}")
        for key, value in selector.labels
        if labels.get(key) != value
    ]
    for need in selector.requirements:
        if not LabelSelector(requirements=(need,)).matches(dict(labels)):
            values = f" ({', '.join(need.values)})" if need.values else ""
            found.append(Unmet(key=need.key, message=f"{need.key} {need.operator}{values}, {_found(need.key, labels)}"))
    return tuple(found)


def _found(key: str, labels: Mapping[str, str]) -> str:
    return f"which is {labels[key]} here" if key in labels else "which is missing here"


def check_selector(document: Document, field: str, findings: Findings) -> None:
    """Report expressions whose operator and values do not go together."""
    raw = document.spec.get(field.removeprefix("spec."))
    for index, need in enumerate((raw or {}).get("matchExpressions", ())):
        operator, values = need.get("operator"), need.get("values", ())
        here = f"{field}.matchExpressions[{index}]"
        if operator in ("In", "NotIn") and not values:
            findings.absent(document, here, "bad-selector", f"{operator} without values", "give at least one value")
        if operator in ("Exists", "DoesNotExist") and values:
            findings.error(
                document, f"{here}.values", "bad-selector", f"{operator} takes no values", "leave values out"
            )
