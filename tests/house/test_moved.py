"""Old import names: what they lead to, and what they must not reach."""

import importlib
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import gqa_lib
from gqa_lib.course import places
from gqa_lib.learn import show
from gqa_lib.learn.watch.answers import library_answer
from gqa_lib.moved import MOVED, present_name
from grading.limited import sandbox

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def rows(monkeypatch):
    """Add rows to the table; undo them and their imports afterwards."""
    modules, names = set(sys.modules), set(vars(gqa_lib))
    yield lambda **rows: [
        monkeypatch.setitem(MOVED, f"gqa_lib.{old}", f"gqa_lib.{new}") for old, new in rows.items()
    ]
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    for name in set(vars(gqa_lib)) - names:
        delattr(gqa_lib, name)


def ran(code, *command):
    """Run code in a new process, with Python unless another command is given."""
    command = command or (sys.executable, "-c")
    return subprocess.run([*command, code], capture_output=True, text=True, cwd="/")


def test_an_old_module_name_gives_the_present_module(rows):
    rows(sizes="configs")
    with pytest.warns(PendingDeprecationWarning, match=r"gqa_lib\.sizes is now gqa_lib\.configs"):
        from gqa_lib.sizes import load_model
    from gqa_lib import configs, sizes

    assert sizes is gqa_lib.sizes is configs is sys.modules["gqa_lib.configs"]
    assert load_model is configs.load_model
    assert configs.__name__ == configs.__spec__.name == "gqa_lib.configs"


def test_the_modules_of_a_package_move_with_it(rows):
    rows(studies="learn")
    assert present_name("gqa_lib.studies.watch.answers") == "gqa_lib.learn.watch.answers"
    assert present_name("gqa_lib.studies_not") == "gqa_lib.studies_not"
    with warnings.catch_warnings(action="ignore"):
        assert importlib.import_module("gqa_lib.studies.watch.answers").library_answer is (
            library_answer
        )
        assert importlib.import_module("gqa_lib.studies.show") is show


WITH_A_NAME = (
    "import gqa_lib.moved\n"
    "gqa_lib.moved.MOVED['gqa_lib.configs:read_model'] = 'gqa_lib.cost:kv_cache_bytes'\n"
    "gqa_lib.moved.MOVED['gqa_lib.learn:place'] = 'gqa_lib.course.places:home'\n"
)


def test_a_name_that_moved_is_still_in_its_old_module():
    done = ran(
        WITH_A_NAME + "import inspect, warnings\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    warnings.simplefilter('always')\n"
        "    from gqa_lib.configs import read_model, load_model\n"
        "from gqa_lib import configs, cost, learn\n"
        "assert read_model is configs.read_model is cost.kv_cache_bytes\n"
        "assert learn.place.__module__ == 'gqa_lib.course.places'\n"
        "assert learn.show_map.__module__ == 'gqa_lib.learn.guide.map'  # the module's own lookup\n"
        "assert 'The shapes of real models' in inspect.getsource(configs)\n"
        "print(told[0].category.__name__, told[0].filename, told[0].message)\n"
        "for module in configs, learn:\n"
        "    try:\n"
        "        module.nothing\n"
        "    except AttributeError as error:\n"
        "        print(error)\n"
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "PendingDeprecationWarning <string> gqa_lib.configs.read_model is now "
        "gqa_lib.cost.kv_cache_bytes; the old name still works.",
        "No gqa_lib.configs attribute nothing",
        "No gqa_lib.learn attribute nothing",
    ]


@pytest.mark.parametrize("command", [["-c"], ["-m", "IPython", "--colors=NoColor", "-c"]])
def test_a_learner_sees_no_warning_about_an_old_name(command, tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    code = WITH_A_NAME + (
        "gqa_lib.moved.MOVED['gqa_lib.sizes'] = 'gqa_lib.configs'\n"
        "import gqa_lib.sizes\n"
        "from gqa_lib.configs import read_model\n"
        "print('done')"
    )
    done = ran(code, sys.executable, *command)
    assert (done.stdout.strip(), done.stderr) == ("done", "")


def test_old_modules_are_attributes_too():
    done = ran(
        "import gqa_lib, sys\n"
        "print(gqa_lib.checkpoints.__name__, gqa_lib.environment.__name__)\n"
        "print(gqa_lib.rope.__name__, gqa_lib.samples.__name__, gqa_lib.learn.map.__name__)\n"
        "try:\n"
        "    gqa_lib.nothing\n"
        "except AttributeError as error:\n"
        "    print(error)\n"
    )
    assert (done.stdout.splitlines(), done.stderr) == (
        [
            "gqa_lib.configs.checkpoints gqa_lib.measure.environment",
            "gqa_lib.attention.rope gqa_lib.measure.samples gqa_lib.learn.guide.map",
            "No gqa_lib attribute nothing",
        ],
        "",
    )


def test_every_module_that_there_was_is_imported_by_its_old_name():
    names = (DATA / "before" / "modules.txt").read_text(encoding="utf-8").split()
    assert len(names) > 80
    tried = (
        "import importlib\n"
        f"for name in {names!r}:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except Exception as error:\n"
        "        print(f'{name}: {error!r}')\n"
    )
    done = ran(tried)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_program_runs_by_its_old_name():
    row = "from gqa_lib.moved import MOVED; MOVED['gqa_lib.shell'] = 'gqa_lib.cli'\n"
    run = "import runpy; runpy.run_module('gqa_lib.shell', run_name='__main__', alter_sys=True)"
    done = ran(f"import sys; sys.argv = ['', '--help']\n{row}{run}")
    assert "usage: gqa" in done.stdout, done.stderr
    assert done.returncode == 0
    done = ran("gqa_lib.explore_panel", sys.executable, "-m")
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_in_a_row_names_the_new_place(rows):
    rows(sizes="nowhere")
    with (
        warnings.catch_warnings(action="ignore"),
        pytest.raises(ModuleNotFoundError, match=r"No module named 'gqa_lib\.nowhere'"),
    ):
        importlib.import_module("gqa_lib.sizes")


def test_every_row_resolves_and_hides_no_module():
    root = places.package_root().parent
    for old, new in MOVED.items():
        module, _, name = old.partition(":")
        place = root / module.replace(".", "/")
        there = place.is_dir() or place.with_suffix(".py").is_file()
        assert there == bool(name), f"{old}: a module is still there, or a name's is gone"
        module, _, name = new.partition(":")
        assert new not in MOVED
        assert present_name(module) == module, f"{new} moved itself"
        found = importlib.import_module(module)
        assert not name or name in vars(found) or hasattr(found, name), new


# What a submission may import


needs_sandbox = pytest.mark.skipif(
    bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
)
TRY = (
    "from gqa_lib.moved import MOVED\n"
    "MOVED['gqa_lib.answers'] = 'gqa_lib.attention'\n"
    "MOVED['gqa_lib.machine'] = 'gqa_lib.hardware'\n"
    "MOVED['gqa_lib.hardware:Layer'] = 'gqa_lib.attention:GroupedQueryAttention'\n"
    "import gqa_lib\n"
    "for line in ('import gqa_lib.answers', 'from gqa_lib import answers',\n"
    "        'from gqa_lib.answers import rope', 'import gqa_lib.answers.rope',\n"
    "        'from gqa_lib.machine import Layer', 'from gqa_lib.machine import Hardware'):\n"
    "    try:\n"
    "        exec(line)\n"
    "        print('imported')\n"
    "    except Exception as error:\n"
    "        print(type(error).__name__, getattr(error, 'name', None))\n"
)


@needs_sandbox
def test_an_old_name_reaches_nothing_that_the_sandbox_hides():
    done = ran(TRY, *sandbox.command([sandbox.python(), "-c"]))
    hidden = "ModuleNotFoundError gqa_lib.attention"
    assert done.stdout.splitlines() == [*[hidden] * 5, "imported"], done.stderr


def test_an_old_name_is_refused_like_the_new_one():
    before = (
        "import gqa_lib.attention\n"
        "import gqa_lib.answers\n"
        "from grading.student.imports import watch_imports\n"
        "watch_imports()\n"
    )
    rows, tried = TRY.split("import gqa_lib\n")
    tried = tried.replace(
        "'from gqa_lib import answers'", "'import gqa_lib.attention'"
    )  # the new name
    done = ran(f"{rows}{before}import gqa_lib\n{tried}")
    assert done.stdout.splitlines() == [*["LibraryAnswer None"] * 5, "imported"], done.stderr


def test_an_answer_that_uses_an_old_name_is_judged_by_the_new_one(rows):
    rows(answers="attention", machine="hardware")

    def borrows(q, k, v):
        from gqa_lib.answers import grouped_query_attention

        return grouped_query_attention(q, k, v)

    def asks():
        from gqa_lib.machine import pick_device

        return pick_device()

    assert library_answer(borrows) == "gqa_lib.answers"
    assert library_answer(asks) == ""
