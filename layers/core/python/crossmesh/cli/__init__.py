"""The command line: the deployed code, driven by hand. Exit 0 done · 1 failed or refused · 2 wrong
usage · 3 differences or findings.
"""

from crossmesh.cli.main import main

__all__ = ["main"]
