"""`python -m crossmesh.cli`."""

import sys

from crossmesh.cli import main

if __name__ == "__main__":
    sys.exit(main())
