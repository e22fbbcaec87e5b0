"""Region names: which there are, as the AWS SDK knows them. A Region that is newer than the SDK
stays possible. Pure.
"""

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from crossmesh.core.suggestions import nearest


class Regions(msgspec.Struct, frozen=True, kw_only=True):
    """The Regions of every partition, and the pattern of each partition, which names of later ones
    match, too.
    """

    known: Sequence[str]
    patterns: Sequence[str]


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a name: an error where no partition has such Regions, else a warning."""

    level: Literal["error", "warning"]
    message: str
    fix: str


def doubted(region: str, regions: Regions) -> Doubt | None:
    """What to say of a Region; None of one that there is."""
    if region in regions.known:
        return None
    near = nearest(region, regions.known)
    meant = f"did you mean {near}? " if near else ""
    if any(re.fullmatch(pattern, region) for pattern in regions.patterns):
        return Doubt(
            level="warning",
            message=f"{region!r} is no Region that this version of the AWS SDK knows",
            fix=f"{meant}ignore this if the Region is new",
        )
    return Doubt(
        level="error",
        message=f"{region!r} is no Region: no partition of AWS has such names",
        fix=f"{meant}aws ec2 describe-regions lists those of your account",
    )
