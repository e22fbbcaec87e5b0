"""What to do about a cluster that was not seen, by its cause. Nothing of it is removed
meanwhile.
"""

from crossmesh.core.observed import Cause

_AGAIN = "after `sam delete` and a new deployment the roles are new, and old entries hold no more"
_FIX: dict[Cause, str] = {
    "unreachable": (
        "look at the endpoint: a private one wants VpcSubnetIds, a public one must admit these addresses"
        " (publicAccessCidrs); it heals by itself"
    ),
    "tls": (
        "compare the certificate with the authority that `aws eks describe-cluster` gives; something between may"
        " end TLS"
    ),
    "creating": (
        "wait until `aws eks wait cluster-active --name NAME` returns, or take the cluster out of crossmesh.yaml"
    ),
    "role": (
        "let the trust policy of `roleArn` admit this role and its externalId (clusters/role.yaml), and ClusterRoleArns"
        " name it"
    ),
    "credentials": (
        "sign in again (`aws sso login`), or look at the identity provider; a function gets its own from Lambda"
    ),
    "timeout": (
        "look at the API server, or at what stands between; looks wait 3 s for it until it answers; it heals by itself"
    ),
    "throttled": "nothing, it heals by itself; else look at who asks the API server so often",
    "refused": (
        "give the role of ReaderRoleArns its access entry (`crossmesh init` prints it) and apply clusters/reader.yaml;"
        f" {_AGAIN}"
    ),
    "server-error": "look at the API server; it heals by itself",
    "too-large": "find the objects of so many megabytes in the mesh's namespaces: `kubectl get pods -o json | wc -c`",
    "malformed": "look at the API server and at what stands between: no Kubernetes gives such an answer",
    "cut": "look at what stands between: an answer ended early, or its pages do not fit together",
    "went-back": (
        "look at the API server: it shows a list older than one seen before (restored from a backup? `crossmesh forget"
        " X --identity`)"
    ),
    "identity": "if the cluster was rebuilt on purpose: `crossmesh forget X --identity`",
    "list-incomplete": "look at the API server: its list lacks pods that a GET finds",
    "not-found": (
        "compare the cluster's name, Region and account in crossmesh.yaml with `aws eks list-clusters`; for manifests:"
        " install App Mesh's CRDs"
    ),
    "crashed": "look at the log of the observing function",
}

_REFUSED = {
    "HTTP 401": (
        "give the role of ReaderRoleArns its access entry (`crossmesh init` prints it): the cluster does not know the"
        " role; " + _AGAIN
    ),
    "HTTP 403": (
        "apply clusters/reader.yaml, or what `crossmesh access` prints: the cluster knows the role and gives it too few"
        " rights"
    ),
}


def fix(cause: str, detail: str) -> str:
    """In one line; "" for a cause of another version."""
    if cause == "refused":
        for code, told in _REFUSED.items():
            if detail.startswith(code):
                return told
    return next((told for known, told in _FIX.items() if known == cause), "")
