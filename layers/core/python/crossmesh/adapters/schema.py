"""The schema version of what is stored. It stands beside each document of the table and each object
of the bucket, and each reader checks it.
"""

from crossmesh.errors import RefusedError

# Raise it when a stored form changes so that the version before would misread it; then read both
# here, or say in the changelog what to delete
SCHEMA = "1"


def check(what: str, found: str) -> None:
    """Raise RefusedError unless `what` is of this schema. "": it was stored before versions were,
    in the same form as the first.
    """
    if (found or "1") != SCHEMA:
        raise RefusedError(
            "OtherSchema",
            f"{what} has schema {found}, and this version of crossmesh reads {SCHEMA}: another version wrote it. Deploy"
            " or install that version or a newer one",
        )
