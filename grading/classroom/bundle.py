"""`gqa release --students`: the course as students get it, which installs and works alone.

What goes in is listed here, name by name; whatever the course gains later stays out until it is
listed too. Solutions, hidden tests, planted answers and graders are not.
"""

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gqa_lib.course.manifest import lessons
from gqa_lib.course.places import course_root

from .release import ReleaseError, check_built

TOP = ("LICENSE", "constraints.txt", "environment.yml", "pyproject.toml", "scripts/setup.sh")
GRADING = (
    "__init__.py",
    "author_commands.py",
    "commands.py",
    "due_commands.py",
    "platform_commands.py",
    "settings.py",
    "guard/__init__.py",
    "guard/hub.py",
    "guard/identity.py",
    "intake/__init__.py",
    "intake/admit.py",
    "intake/hand_in.py",
    "intake/reading.py",
    "intake/rebuild.py",
    "intake/refusals.py",
    "intake/sorting.py",
    "learner/__init__.py",
    "learner/desk.py",
    "learner/kernels.py",
    "learner/lab.py",
    "learner/report.py",
    "learner/reset.py",
    "learner/singleuser.py",
    "learner/staged.py",
    "learner/submit.py",
    "learner/unfinished.py",
    "limited/__init__.py",
    "limited/__main__.py",
    "limited/call.py",
    "limited/fork_server.py",
    "limited/ours.py",
    "limited/sandbox.py",
    "limited/scratch.py",
    "limited/shown.py",
    "limited/verdict.py",
    "nb/__init__.py",
    "nb/cells.py",
    "nb/copies.py",
    "nb/databases.py",
    "nb/new_gradebook.py",
    "nb/programs.py",
    "nb/steps.py",
    "nb/texts.py",
    "student/__init__.py",
    "student/calls.py",
    "student/forks.py",
    "student/isolate.py",
    "student/packages.py",
    "student/seccomp.py",
    "jupyter/hub/student.py",
    "jupyter/nbgrader_config.py",
    "jupyter/student/jupyter_lab_config.py",
    "jupyter/student/jupyter_server_config.json",
    "jupyter/student/labconfig/default_setting_overrides.json",
    "jupyter/student/labextensions/gqa-desk/package.json",
    "jupyter/student/labextensions/gqa-desk/static/desk.js",
    "jupyter/student/labconfig/page_config.json",
)
# of gqa_lib, besides its modules
DATA = (
    "bench/results/templates/compare.html.j2",
    "bench/results/templates/notebook.html.j2",
    "bench/results/templates/page.html.j2",
    "bench/results/templates/report.html.j2",
    "bench/results/templates/tables.css.j2",
    "configs/hugging_face/class_defaults.json",
    "configs/hugging_face/harmless.txt",
    "configs/hugging_face/weightless.txt",
    "configs/models.csv",
    "kernels/native/amx.h",
    "kernels/native/decode.h",
    "kernels/native/decode_op.h",
    "kernels/native/layer_op.h",
    "kernels/native/linear.h",
    "kernels/native/linear_op.h",
    "kernels/native/op.cpp",
    "kernels/native/plain.h",
    "kernels/native/step_op.h",
    "kernels/native/vectors.h",
    "learn/guide/guesses.toml",
    "learn/guide/hints.json",
    "learn/quiz/panel.css",
    "learn/quiz/panel.js",
    "learn/quiz/quiz.json",
    *(f"learn/tutor/answers/{lesson.number}.toml" for lesson in lessons()),
    "learn/tutor/answers/sources.json",
    "learn/tutor/german.toml",
    "learn/tutor/tutor.svg",
    "learn/tutor/tutor.toml",
    "plots/moving.css",
    "plots/moving.js",
    "py.typed",
    "serving/plan/data/vllm_bench.sh",
    "serving/simulator/data/LICENSE-LLMServingSim",
    "serving/simulator/data/README.md",
    "serving/simulator/data/rtx4090-llama-3.1-8b.attention.csv.gz",
    "serving/simulator/data/rtx4090-llama-3.1-8b.dense.csv.gz",
    "serving/simulator/data/rtx4090-llama-3.1-8b.per_sequence.csv.gz",
    "serving/traffic/data/LICENSE-LLMServingSim",
    "serving/traffic/data/README.md",
    "serving/traffic/data/azure-code-2023.csv.gz",
    "serving/traffic/data/azure-conv-2023.csv.gz",
    "serving/traffic/data/vllm-rtx4090.jsonl.gz",
    "train/small/bytes-mha/README.md",
    "train/small/bytes-mha/config.json",
    "train/small/bytes-mha/model.safetensors",
)
_WRITTEN_FOR_STUDENTS = Path(__file__).parent / "for_students"
_ARCHIVES = {".zip": "zip", ".tar.gz": "gztar"}


def students_bundle(target: Path, exchange: Path | None = None) -> Path:
    """Make the students' copy of the course and return where it is.

    Args:
        target: a folder that is not there yet, or an archive's name in .zip or .tar.gz; the archive
            holds one folder, called as the archive.
        exchange: the class's exchange folder as students reach it; without one they are told to ask
            for it when they submit.

    Raises:
        ReleaseError: the target is there already, a notebook does not match its source, or the
            exchange is not an absolute path.
        OSError: it cannot be written.
    """
    target = target.resolve()
    if target.exists():
        raise ReleaseError(f"{target} already exists: name another folder, or remove that one.")
    if exchange and not exchange.is_absolute():
        raise ReleaseError(
            f"the exchange is {exchange}, which would be another folder for everyone who runs "
            "`gqa submit`: give its path from the root, such as /srv/gqa-exchange."
        )
    check_built(lessons())
    ending = next((ending for ending in _ARCHIVES if target.name.endswith(ending)), "")
    name = target.name.removesuffix(ending)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".bundle-") as scratch:
        made = Path(scratch, "tree", name)
        _fill(made, exchange)
        _open(made)
        if ending:
            packed = shutil.make_archive(
                os.path.join(scratch, name), _ARCHIVES[ending], made.parent, name
            )
            made = Path(packed)
        os.replace(made, target)
    return target


def _fill(folder: Path, exchange: Path | None) -> None:
    root = course_root()
    for path in _shipped(root):
        copy = folder / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    for path in _WRITTEN_FOR_STUDENTS.iterdir():
        shutil.copy(path, folder)
    manifest = (root / "course.toml").read_text(encoding="utf-8")
    (folder / "course.toml").write_text(manifest + _class_table(exchange), encoding="utf-8")


def _open(folder: Path) -> None:
    """Let everybody read it, also where the clone is closed to others."""
    for path in (folder, *folder.rglob("*")):
        runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if runs else 0o644)


def _shipped(root: Path) -> Iterator[Path]:
    """Yield the files that go in as they are."""
    yield from (root / name for name in TOP)
    yield from (root / "grading" / name for name in GRADING)
    yield from sorted((root / "gqa_lib").rglob("*.py"))
    yield from sorted((root / "gqa_lib").rglob("*.pyi"))
    yield from (root / "gqa_lib" / name for name in DATA)
    yield from sorted((root / "gqa_lib" / "records").glob("*.jsonl"))
    yield from (lesson.pristine for lesson in lessons())
    yield from sorted((root / "notebooks" / "benchmarks").glob("*.ipynb"))


def _class_table(exchange: Path | None) -> str:
    """Return the table of course.toml that makes it a students' copy."""
    named = json.dumps(str(exchange or ""), ensure_ascii=False)  # a string in TOML, too
    return (
        f"\n# Where `gqa submit` hands in; GQA_EXCHANGE overrides.\n[class]\nexchange = {named}\n"
    )
