"""`crossmesh access CLUSTER`: the Kubernetes rights that crossmesh needs there and no others, ready
for `kubectl apply -f -`. No network.
"""

import argparse
import copy
from pathlib import Path

import yaml

from crossmesh import configuration
from crossmesh.cli.printing import console, print_json
from crossmesh.core.diagnosis.cluster_access import rights
from crossmesh.core.suggestions import meant
from crossmesh.errors import RefusedError, UsageError

_LIVE = "its documents name the namespaces: use clusters/reader.yaml and clusters/manifests-reader.yaml"


def run(arguments: argparse.Namespace) -> int:
    """Print them; refuses where documents are read live, for whoever writes one would then decide
    what must be readable.
    """
    config = configuration.load(Path(arguments.config))
    assert config.settings is not None
    settings = config.settings
    cluster = next((one for one in settings.clusters if one.name == arguments.cluster), None)
    if cluster is None:
        known = [one.name for one in settings.clusters]
        said = (
            f"crossmesh.yaml has no cluster {arguments.cluster!r}, only"
            f" {', '.join(known)}{meant(arguments.cluster, known)}"
        )
        raise UsageError("UnknownCluster", said)
    if settings.mesh.manifests.clusters:
        raise RefusedError("LiveManifests", f"mesh.manifests.clusters reads documents live, and {_LIVE}")
    found = rights(settings, config.topology, cluster)
    if arguments.json:
        print_json({"apiVersion": "v1", "kind": "List", "items": found})
        return 0
    out = console()
    # Copies: no anchors for what is shared
    for line in yaml.safe_dump_all(map(copy.deepcopy, found), sort_keys=False).splitlines():
        out.print(line)
    return 0
