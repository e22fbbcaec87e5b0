"""docs/reference/fields.md from the CRDs, the verdicts and what was measured: `make fields`."""

import json
from collections import Counter
from pathlib import Path

from tests.contract.fields.leaves import leaves
from tests.contract.fields.measured import Paths, measured
from tests.contract.fields.verdicts import ANNOTATIONS, Verdict, verdict

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docs" / "reference" / "fields.md"
RECORDED = Path(__file__).parent / "paths.json"
_SHOWN = 4

_HEAD = """\
# Fields on Envoys of your own

Written by `make fields`; do not edit. It is made from the CRDs and `tests/contract/fields`. A test
changes each field and compares what changes in the rendering.

This page says what becomes of each field of the App Mesh manifests, and of each annotation of AWS's
injector, on Envoys that crossmesh configures (`crossmesh render --target envoy`, a preview).

| verdict | meaning | fields |
| --- | --- | --- |
| kept | Means what it meant in App Mesh. | {kept} |
| approximated | Means nearly the same. The remark says how it differs. | {approximated} |
| lost | Has no effect. The remark says what then happens. | {lost} |
| without meaning | Never decided what an Envoy does, or decides it no longer. | {meaningless} |

A condition of a route that Envoy cannot have withholds the router or gateway, and a finding says
so. The column *sets* names the parts of Envoy's configuration that change with the field. Names of
clusters and route tables contain mesh, node, protocol and port, so those fields change many parts.
"""


def recorded() -> dict[str, Paths]:
    """What was measured when the page was written."""
    return {leaf: tuple(paths) for leaf, paths in json.loads(RECORDED.read_text()).items()}


def page(found: dict[str, Paths]) -> str:
    """The page as it should be."""
    every = [f"{kind} {path}" for kind, path, _ in leaves()]
    words = Counter(verdict(leaf).word for leaf in every) + Counter(one.word for one in ANNOTATIONS.values())
    head = _HEAD.format(kept=words["kept"], approximated=words["approximated"], lost=words["lost"], meaningless=words["without meaning"])
    parts = [head]
    for kind in dict.fromkeys(leaf.split()[0] for leaf in every):
        rows = [_row(leaf.split()[1], verdict(leaf), found.get(leaf, ())) for leaf in every if leaf.startswith(f"{kind} ")]
        parts.append("\n".join((f"## {kind}", "| field | verdict | sets | remark |", "| --- | --- | --- | --- |", *rows)) + "\n")
    rows = [f"| `appmesh.k8s.aws/{name}` | {one.word} | {one.remark} |" for name, one in sorted(ANNOTATIONS.items())]
    parts.append("\n".join(("## Annotations", "| annotation | verdict | remark |", "| --- | --- | --- |", *rows)) + "\n")
    return "\n".join(parts)


def _row(path: str, what: Verdict, paths: Paths) -> str:
    shown = ", ".join(f"`{one}`" for one in paths[:_SHOWN])
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return f"| `{path}` | {what.word} | {shown}{more} | {what.remark} |"


if __name__ == "__main__":
    now = measured()
    RECORDED.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    FILE.write_text(page(now))
