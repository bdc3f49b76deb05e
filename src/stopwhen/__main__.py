"""Makes `python -m stopwhen` the command `stopwhen`."""

from __future__ import annotations

import sys

from stopwhen.frontends.cli import main

if __name__ == "__main__":
    status = main()
    if status:
        sys.exit(status)
