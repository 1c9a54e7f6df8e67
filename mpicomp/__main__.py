"""``python -m mpicomp`` is ``mpicomp``."""

from __future__ import annotations

import sys

from mpicomp.cli import main

if __name__ == "__main__":
    sys.exit(main())
