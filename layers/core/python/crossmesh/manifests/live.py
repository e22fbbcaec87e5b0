"""Documents out of clusters, checked by the same rules as those out of files. Their place is the cluster and the object."""

from collections.abc import Sequence

from crossmesh.core.documents import Document, Finding
from crossmesh.core.live import Held
from crossmesh.manifests.documents import Loaded, read_object


def load_live(clusters: Sequence[Held]) -> Loaded:
    """The documents of all clusters, and what is wrong with them. Never raises."""
    documents: list[Document] = []
    findings: list[Finding] = []
    for held in clusters:
        for item in held.items:
            metadata = item["metadata"]
            key = "/".join(part for part in (metadata.get("namespace", ""), metadata.get("name", "")) if part)
            loaded = read_object(f"cluster {held.cluster}: {item['kind']} {key}", item)
            documents += loaded.documents
            findings += loaded.findings
    return Loaded(documents=tuple(documents), findings=tuple(sorted(findings, key=lambda f: (f.place, f.code))))
