"""Which snapshot is in force. Apart from `snapshot`, so that ports need no renderer. Pure."""

import msgspec


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot in force. `root` is a digest."""

    lineage: str
    epoch: int
    number: int
    root: str
