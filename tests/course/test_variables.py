"""The environment variables: each is in the table, and each that the table has is read."""

import re
from pathlib import Path

from gqa_lib.course.places import course_root
from gqa_lib.course.variables import VARIABLES, table

READ = re.compile(r"""(?:environ(?:\.get\(|\[)|\$\{)["']?(GQA_[A-Z_]+)""")


def sources() -> list[Path]:
    """Files of the course that may read a variable."""
    root = course_root()
    folders = [root / name for name in ("gqa_lib", "grading", "scripts", "solutions")]
    return [p for f in folders for p in f.rglob("*") if p.suffix in (".py", ".sh", ".toml")]


def test_the_table_has_every_variable_that_is_read_and_no_other():
    read = {name for path in sources() for name in READ.findall(path.read_text(encoding="utf-8"))}
    assert read == VARIABLES.keys()


def test_the_page_of_variables_is_the_table():
    page = (course_root() / "docs" / "variables.md").read_text(encoding="utf-8")
    assert page.endswith(table())
