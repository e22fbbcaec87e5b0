"""From files to documents: read with positions, checked, so that every mistake is told with file,
line, document, field and fix.
"""

from crossmesh.manifests.documents import Loaded, load

__all__ = ["Loaded", "load"]
