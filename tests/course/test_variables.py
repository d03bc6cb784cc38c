"""The environment variables: each is in the table, and each that the table has is read."""

import re
from pathlib import Path

from gqa_lib.course.places import course_root
from gqa_lib.course.variables import VARIABLES, table

READ = re.compile(r"""(?:environ(?:\.get\(|\[)|\$\{)["']?(GQA_[A-Z_]+)""")


def sources() -> list[Path]:
    """Files of the course that may read a variable."""
    root = course_root()
    names = ("gqa_lib", "grading", "scripts", "solutions", ".ci", ".github")
    kinds = (".py", ".sh", ".toml", ".yml", ".yaml", "")
    found = [p for name in names for p in (root / name).rglob("*")]
    return [p for p in found if p.suffix in kinds and p.is_file()] + [root / "Makefile"]


def test_the_table_has_every_variable_that_is_read_and_no_other():
    read = {name for path in sources() for name in READ.findall(path.read_text(encoding="utf-8"))}
    assert read == VARIABLES.keys()
    assert {"run", "ci.yml", "Makefile"} <= {path.name for path in sources()}


def test_the_page_of_variables_is_the_table():
    page = (course_root() / "docs" / "variables.md").read_text(encoding="utf-8")
    assert page.endswith(table())
