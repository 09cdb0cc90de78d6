"""`python -m nicemu`."""

from __future__ import annotations

import sys

from nicemu.cli import main

if __name__ == "__main__":
    sys.exit(main())
