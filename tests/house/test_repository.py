"""The files around the code: each parses, and says what pyproject.toml and course.toml say."""

import re
import shlex
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook, new_output

from gqa_lib.course.manifest import lessons
from gqa_lib.course.places import course_root

ROOT = course_root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COURSE = tomllib.loads((ROOT / "course.toml").read_text())
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("wrong-*.yml"))


def read_yaml(name: str | Path):
    return yaml.safe_load((ROOT / name).read_text())


def hooks() -> dict[str, dict]:
    """Return the pre-commit hooks that run tools of ours, by id."""
    (local,) = [r for r in read_yaml(".pre-commit-config.yaml")["repos"] if r["repo"] == "local"]
    return {hook["id"]: hook for hook in local["hooks"]}


def run_hook(hook: dict, *paths: Path) -> int:
    """Run a hook of ours on files as pre-commit does; return its exit code."""
    if hook["language"] == "pygrep":  # fails on a line that has the pattern
        lines = [line for path in paths for line in path.read_bytes().splitlines()]
        return int(any(re.search(hook["entry"].encode(), line) for line in lines))
    tool, *options = shlex.split(hook["entry"])
    program = Path(sys.executable).parent / Path(tool).name
    assert tool == f".venv/bin/{program.name}"
    return subprocess.run([program, *options, *paths], cwd=ROOT, capture_output=True).returncode


def test_hooks_of_others_are_pinned():
    others = [r for r in read_yaml(".pre-commit-config.yaml")["repos"] if r["repo"] != "local"]
    assert {hook["id"] for repo in others for hook in repo["hooks"]} == {
        "detect-private-key",
        "check-added-large-files",
    }
    assert all(re.fullmatch(r"v\d+\.\d+\.\d+", repo["rev"]) for repo in others)


@pytest.mark.parametrize("name", ["ruff-check", "ruff-format"])
def test_ruff_hooks_pass_here_and_refuse_a_fault(name, tmp_path):
    hook = hooks()[name]
    assert hook["types"] == ["python"]
    # pre-commit names these files, too
    excluded = ROOT / "grading" / "authoring" / "planted" / "00-start-here.py"
    assert run_hook(hook, Path(__file__), excluded) == 0
    faulty = tmp_path / "faulty.py"
    faulty.write_text("import os\nx = [ 1 ]\n")
    assert run_hook(hook, faulty) == 1


def test_the_notebook_hook_passes_here_and_refuses_outputs(tmp_path):
    hook = hooks()["notebooks-without-outputs"]
    notebooks = sorted((ROOT / "notebooks").rglob("*.ipynb"))
    assert notebooks
    assert all(re.search(hook["files"], str(path)) for path in notebooks)
    assert run_hook(hook, *notebooks) == 0
    quoting = new_code_cell('print(\'"output_type": "stream", "execution_count": 1\')')
    for name, cell, refused in (
        ("output", new_code_cell("1", outputs=[new_output("stream", text="1")]), 1),
        ("counted", new_code_cell("1", execution_count=3), 1),
        ("quoting", quoting, 0),
    ):
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(new_notebook(cells=[cell]), path)
        assert run_hook(hook, path) == refused, name


def test_the_workflow_runs_ci_on_every_python_that_is_named():
    (job,) = read_yaml(".github/workflows/ci.yml")["jobs"].values()
    versions = job["strategy"]["matrix"]["python"]
    named = "Programming Language :: Python :: "
    assert [named + version for version in versions] == PROJECT["classifiers"]
    assert PROJECT["requires-python"] == f">={versions[0]}"
    assert "${{ matrix.python }}" in job["container"]["image"]
    assert "bash .ci/run" in [step.get("run") for step in job["steps"]]
    assert (ROOT / ".ci" / "run").is_file()
    (checkout,) = (s for s in job["steps"] if s.get("uses", "").startswith("actions/checkout@"))
    assert checkout["with"] == {"fetch-depth": 2}


def test_the_citation_is_of_this_course():
    citation = read_yaml("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["title"] == COURSE["title"]
    assert citation["message"]
    assert all(set(author) == {"name"} for author in citation["authors"])  # no invented persons


def test_the_changelog_ends_at_the_version_of_the_package():
    text = (ROOT / "CHANGELOG.md").read_text()
    unreleased, *released = re.findall(r"^## (.*)$", text, flags=re.M)
    assert unreleased == "[Unreleased]"
    found = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\S+)", heading) for heading in released]
    assert all(found), released
    assert found[0][1] == PROJECT["version"]
    days = [date.fromisoformat(match[2]) for match in found]
    assert days == sorted(days, reverse=True)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, flags=re.M)) <= kinds


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_one_that_github_can_show(path):
    form = read_yaml(path)
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"input", "textarea", "dropdown"}
    assert len({field["id"] for field in fields}) == len(fields)
    assert len({field["attributes"]["label"] for field in fields}) == len(fields)
    assert any(field["validations"]["required"] for field in fields)
    for field in fields:
        assert field["type"] != "dropdown" or field["attributes"]["options"]


def test_there_is_a_form_for_a_grade_a_fact_and_a_number():
    assert [path.stem for path in FORMS] == ["wrong-fact", "wrong-grade", "wrong-number"]
    assert set(read_yaml(".github/ISSUE_TEMPLATE/config.yml")) == {"blank_issues_enabled"}


def test_the_readme_says_how_many_lessons_there_are_and_how_long_they_take():
    readme = " ".join((ROOT / "README.md").read_text().split())
    hours = round(sum(one.minutes for one in lessons()) / 60)
    assert (
        f"The {len(lessons())} lessons take about {hours} hours, "
        f"the first one {lessons()[0].minutes} minutes."
    ) in readme


@pytest.mark.parametrize(
    "name",
    sorted(
        path.relative_to(ROOT).as_posix()
        for folder in (".", "docs", "gqa_lib", "grading", "tests", ".github")
        for path in ROOT.joinpath(folder).glob("*.md" if folder == "." else "**/*.md")
    ),
)
def test_links_between_files_lead_somewhere_and_pictures_have_a_text(name):
    page = ROOT / name
    links = re.findall(r"(!?)\[([^\]]*)\]\(([^)]+)\)", page.read_text())
    for picture, text, target in links:
        assert text
        assert len(text) > 80 or not picture, f"{target}: say what the picture shows"
        if not target.startswith("https://"):
            # What students get has these pages at its top.
            base = ROOT if page.parent.name == "for_students" else page.parent
            assert (base / target.partition("#")[0]).exists(), target


def test_the_picture_of_the_heads_shows_the_sharing_that_it_names():
    svg = "{http://www.w3.org/2000/svg}"
    picture = ElementTree.parse(ROOT / "docs" / "heads.svg").getroot()
    assert picture.find(f"{svg}title").text
    assert picture.find(f"{svg}desc").text

    def uses(element, name):
        return [one for one in element.iter(f"{svg}use") if one.get("href") == f"#{name}"]

    queries = len(uses(picture.find(f"{svg}defs"), "q"))
    panels = [one for one in picture.findall(f"{svg}g") if one.get("transform")]
    shown = {one.find(f"{svg}text").text: len(uses(one, "kv")) for one in panels}
    assert shown == {
        "Multi-head (MHA)": queries,
        "Grouped-query (GQA)": queries // 4,
        "Multi-query (MQA)": 1,
    }
    assert all(len(uses(one, "queries")) == 1 for one in panels)
    for panel in panels:
        lines = re.findall(r"M([\d.]+) 115L([\d.]+) 170", panel.find(f"{svg}path").get("d"))
        centres = [float(one.get("x")) + 14 for one in uses(panel, "kv")]
        q_per_kv = queries // len(centres)
        assert [float(to) for _, to in lines] == [x for x in centres for _ in range(q_per_kv)]
