"""What JupyterHub starts for a person, as far as it goes without a hub."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from gqa_lib.course import manifest, places
from grading.classroom import bundle
from grading.guard.identity import foreign_behind_a_hub
from grading.learner import singleuser

ROOT = Path(__file__).parents[3]
HUB = "hub.example.org"


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The environment that a hub gives, and a students' copy."""
    for name in ("GQA_WORK", "JUPYTER_CONFIG_PATH", "JUPYTERLAB_WORKSPACES_DIR"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", "http://127.0.0.1:1/user/ada/")
    monkeypatch.setenv("HOME", str(tmp_path / "ada"))
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "records"))
    monkeypatch.setenv("GQA_EXCHANGE", str(tmp_path / "exchange"))
    monkeypatch.setattr(singleuser, "is_students_copy", lambda: True)
    monkeypatch.setattr(singleuser, "find_spec", lambda name: name)
    monkeypatch.chdir(tmp_path)


def test_notebooks_are_in_the_home_of_each_person(started, tmp_path):
    arguments = singleuser.prepare("student")
    work = tmp_path / "ada" / "gqa-work"
    assert places.work() == Path.cwd() == work
    assert all((work / one.slug / f"{one.slug}.ipynb").exists() for one in manifest.lessons())
    assert f"--ServerApp.root_dir={work}" in arguments
    assert "--ServerApp.default_url=/lab/workspaces/desk" in arguments
    assert "--ServerApp.identity_provider_class=grading.guard.hub.HubsPages" in arguments
    assert Path(os.environ["JUPYTER_CONFIG_PATH"]).name == "student"


def test_a_folder_that_the_hub_names_stands(started, monkeypatch, tmp_path):
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "elsewhere"))
    singleuser.prepare("student")
    assert Path.cwd() == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("delenv", "JUPYTERHUB_SERVICE_URL"), "`gqa lab` opens the course"),
        (("setattr", singleuser, "find_spec", lambda _: None), "has no JupyterHub"),
        (("setattr", singleuser, "is_students_copy", lambda: False), "solutions and hidden tests"),
        (("setattr", singleuser, "class_exchange", lambda: None), "nothing could be handed in"),
    ],
)
def test_where_students_cannot_work_it_says_why(started, monkeypatch, change, said):
    getattr(monkeypatch, change[0])(*change[1:])
    monkeypatch.setattr(sys, "argv", ["gqa-singleuser", "--port=1"])
    with pytest.raises(SystemExit, match=said):
        singleuser.main()


def test_a_students_notebooks_are_closed_to_others(started):
    singleuser.prepare("student")
    assert places.work().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["GQA_HOME", "GQA_WORK"])
def test_where_a_folder_cannot_be_written_it_says_which(started, monkeypatch, tmp_path, name):
    (tmp_path / "file").touch()
    monkeypatch.setenv(name, str(tmp_path / "file" / "below"))
    monkeypatch.setattr(sys, "argv", ["gqa-singleuser", "--port=1"])
    with pytest.raises(SystemExit, match=rf"{tmp_path}/file/below.* must be able to write to"):
        singleuser.main()


def test_a_missing_exchange_is_said_and_work_goes_on(started, capsys, tmp_path):
    singleuser.check("student")
    assert f"the exchange {tmp_path / 'exchange'} is not there" in capsys.readouterr().err
    (tmp_path / "exchange").mkdir()
    singleuser.check("student")
    assert capsys.readouterr().err == ""


def test_an_instructor_has_no_desk_in_a_students_copy(started, monkeypatch):
    monkeypatch.setattr("grading.learner.lab.is_students_copy", lambda: True)
    monkeypatch.setattr(sys, "argv", ["gqa-singleuser", "--role=instructor"])
    with pytest.raises(SystemExit, match="not in a students' copy"):
        singleuser.main()


def settings(role: str) -> Config:
    folder = ROOT / "grading" / "jupyter" / "hub"
    return PyFileConfigLoader(f"{role}.py", path=str(folder)).load_config()


def test_only_the_instructors_pages_may_be_framed_and_only_by_their_own():
    assert settings("student").ServerApp.get("tornado_settings", {}) == {}
    headers = settings("instructor").ServerApp.tornado_settings["headers"]
    assert headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    for role in singleuser.ROLES:  # what `gqa lab` has
        assert settings(role).AsyncMappingKernelManager.kernel_manager_class.endswith(".Kernel")


def test_a_students_copy_has_what_a_hub_starts():
    assert {"guard/hub.py", "learner/singleuser.py", "jupyter/hub/student.py"} <= {*bundle.GRADING}
    assert "jupyter/hub/instructor.py" not in bundle.GRADING


NAVIGATES = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Host": HUB}


def test_a_login_may_lead_here_and_no_other_page_may_act():
    for site in ("cross-site", "same-site", "none", "same-origin"):
        assert foreign_behind_a_hub("GET", NAVIGATES | {"Sec-Fetch-Site": site}) == ""
    for site in ("cross-site", "same-site"):
        came = NAVIGATES | {"Sec-Fetch-Site": site}
        assert foreign_behind_a_hub("POST", came)
        assert foreign_behind_a_hub("GET", came | {"Sec-Fetch-Dest": "iframe"})
        assert foreign_behind_a_hub("GET", came | {"Sec-Fetch-Mode": "no-cors"})
    socket = {"Upgrade": "websocket", "Host": HUB, "Origin": "https://ada.hub.example.org"}
    assert foreign_behind_a_hub("GET", socket)
    assert foreign_behind_a_hub("GET", socket | {"Origin": f"https://{HUB}"}) == ""
    assert foreign_behind_a_hub("GET", {"Host": HUB, "Authorization": "token x"}) == ""


# deploy/


def configuration(name: str) -> Config:
    path = ROOT / "deploy" / name
    return PyFileConfigLoader(path.name, path=str(path.parent)).load_config()


def test_students_get_limits_and_the_instructor_gets_formgrader():
    hook = configuration("jupyterhub_config.py").Spawner.pre_spawn_hook
    given = {}
    for name in ("ada", "teacher"):
        user = SimpleNamespace(name=name)
        given[name] = SimpleNamespace(
            user=user, environment={"GQA_EXCHANGE": "/x"}, unit_extra_properties={"Nice": "5"}
        )
        hook(given[name])
    assert given["ada"].cmd == ["/srv/gqa/course/.venv/bin/gqa-singleuser"]
    assert given["ada"].mem_limit
    assert given["ada"].cpu_limit
    assert given["ada"].unit_extra_properties == {"Nice": "5", "OOMPolicy": "continue"}
    assert given["teacher"].unit_extra_properties == {"Nice": "5", "Delegate": "yes"}
    assert "GQA_HOME" not in given["ada"].environment
    assert given["teacher"].cmd == [
        "/srv/gqa/clone/.venv/bin/gqa-singleuser",
        "--role=instructor",
    ]
    assert given["teacher"].environment == {"GQA_EXCHANGE": "/x", "GQA_HOME": "/srv/gqa/records"}


def test_a_container_runs_as_its_student(monkeypatch):
    config = configuration("docker/jupyterhub_config.py")
    person = SimpleNamespace(pw_name="ada", pw_uid=2001, pw_gid=2000, pw_dir="/home/ada")
    monkeypatch.setattr("pwd.getpwnam", lambda name: person)
    spawner = SimpleNamespace(user=SimpleNamespace(name="ada"), environment={})
    config.Spawner.pre_spawn_hook(spawner)
    assert spawner.extra_create_kwargs == {"user": "2001:2000"}
    assert spawner.volumes["/home/ada"] == "/home/ada"
    assert spawner.environment["GQA_WORK"] == "/home/ada/gqa-work"
    person.pw_uid = 0
    with pytest.raises(ValueError, match="a user of the system"):
        config.Spawner.pre_spawn_hook(spawner)
