"""Makes the site: `python -m grading.site [--out FOLDER]`."""

import argparse
from pathlib import Path

from gqa_lib.course.places import course_root
from gqa_lib.processes import stopping

from .build import build_site


def main() -> int:
    """Make the site and say where it is; the exit code is 1 if something in it is wrong."""
    parser = argparse.ArgumentParser(prog="grading.site", description=__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        default=course_root() / "build" / "site",
        help="folder for the site, its sources and what was run (default: build/site)",
    )
    out = parser.parse_args().out
    try:
        with stopping():
            problems = build_site(out)
    except KeyboardInterrupt as stop:
        print(f"stopped by {stop}")
        return 128 + getattr(stop, "number", 2)
    for problem in problems:
        print(problem)
    if not problems:
        print(f"The site: {out / 'html' / 'index.html'}")
    return len(problems) > 0


if __name__ == "__main__":
    raise SystemExit(main())
