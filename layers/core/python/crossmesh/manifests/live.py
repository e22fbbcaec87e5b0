"""Documents out of clusters, checked by the same rules as those out of files. Their place is the
cluster and the object.
"""

from collections.abc import Sequence

from crossmesh.core.compiler.cluster_manifests import ClusterDocuments
from crossmesh.core.documents import Document, Finding
from crossmesh.manifests.documents import Loaded, read_object


def place_of(cluster: str, kind: str, namespace: str, name: str) -> str:
    """What stands in place of a file's name."""
    return f"cluster {cluster}: {kind} {'/'.join(part for part in (namespace, name) if part)}"


def load_live(clusters: Sequence[ClusterDocuments]) -> Loaded:
    """The documents of all clusters, and what is wrong with them. Never raises."""
    documents: list[Document] = []
    findings: list[Finding] = []
    for held in clusters:
        for item in held.items:
            metadata = item["metadata"]
            where = place_of(held.cluster, item["kind"], metadata.get("namespace", ""), metadata.get("name", ""))
            loaded = read_object(where, item)
            documents += loaded.documents
            findings += loaded.findings
    return Loaded(documents=tuple(documents), findings=tuple(sorted(findings, key=lambda f: (f.place, f.code))))
