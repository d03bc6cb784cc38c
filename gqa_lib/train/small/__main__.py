"""`python -m gqa_lib.train.small FOLDER`: a model like the small one is trained and written."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .make import make


def main(argv: list[str] | None = None) -> int:
    """Make the folder that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gqa_lib.train.small", description=__doc__)
    parser.add_argument("folder", type=Path, help="that is made")
    try:
        print(make(parser.parse_args(argv).folder, bar=True))
    except (ValueError, OSError) as trouble:
        print(trouble, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
