"""The pins in constraints.txt install on every supported Python, from the first 3.11 on."""

import importlib.metadata
import platform
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from gqa_lib.course.places import course_root

ROOT = course_root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = ("bench", "cluster", "course", "gpu", "model", "notebook", "postgres", "site", "tutor")
EXTRAS += ("test",)
PYTHONS = ("3.11.0", "3.11.2", "3.12.0", "3.13.0")  # Debian 12 has 3.11.2
# Not installed everywhere: only one Python or system wants them. Their Requires-Python, as their
# wheels have it, is compared with the installed one wherever there is one.
PARTLY_INSTALLED = {
    "aiohappyeyeballs==2.7.1": ">=3.10",
    "aiohttp==3.14.5": ">=3.10",
    "aiosignal==1.4.0": ">=3.9",
    "frozenlist==1.8.0": ">=3.9",
    "jupyterhub==6.1.1": ">=3.10",  # of the extra hub, which neither the course nor tests need
    "multidict==7.2.1": ">=3.11",
    "overrides==7.7.0": ">=3.6",
    "propcache==0.5.4": ">=3.10",
    "triton==3.7.1": ">=3.10,<3.15",
    "yarl==1.25.1": ">=3.10",
}


def pins():
    """Return name -> the requirement that pins it."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines]
    assert len({canonicalize_name(pin.name) for pin in found}) == len(found)
    return {canonicalize_name(pin.name): pin for pin in found}


def environment(python):
    """Return what markers are evaluated with: this machine with another Python."""
    return {"python_version": python.rpartition(".")[0], "python_full_version": python, "extra": ""}


def holds(requirement, python):
    return requirement.marker is None or requirement.marker.evaluate(environment(python))


def installed(name, pin):
    """Return the installed distribution of a pin, or None; only the pinned version is one.

    A build of the same version (torch's `+cpu`) counts.
    """
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    assert pin.specifier.contains(found.version, prereleases=True), (
        f"{pin} is pinned and {found.version} installed, so nothing can be said about the pin. "
        "Install what is pinned: make lint"
    )
    return found


def direct():
    """Return the project's own requirements, those of all its pinned extras among them."""
    extras = PROJECT["optional-dependencies"]
    lines = PROJECT["dependencies"] + [line for extra in EXTRAS for line in extras[extra]]
    return [one for one in map(Requirement, lines) if one.name != PROJECT["name"]]


def test_every_direct_dependency_is_pinned_without_local_versions():
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) for pin in pins().values())
    names = {canonicalize_name(requirement.name) for requirement in direct()}
    assert names <= pins().keys(), names - pins().keys()
    assert str(pins()["torch"].specifier) == "==2.13.0"
    assert str(pins()["triton"].specifier) == "==3.7.1"  # what torch 2.13.0 itself pins on Linux
    extras = PROJECT["optional-dependencies"]
    named = [line for extra in EXTRAS for line in extras[extra]]
    for extra in (
        "course",
        "model",
        "notebook",
        "postgres",
        "site",
        "tutor",
    ):  # each is needed by one other
        assert named.count(f"gqa-course[{extra}]") == 1


def test_every_pin_admits_every_supported_python():
    assert PROJECT["requires-python"] == ">=3.11"
    refusing, unknown = [], []
    for name, pin in pins().items():
        found, listed = installed(name, pin), PARTLY_INSTALLED.get(f"{name}{pin.specifier}")
        if found is None and listed is None:
            unknown.append(str(pin))
            continue
        allowed = found.metadata.get("Requires-Python") if found else listed
        assert listed in (None, allowed), f"{pin}: PARTLY_INSTALLED says {listed}, it is {allowed}"
        asked = [python for python in PYTHONS if holds(pin, python)]
        assert asked, f"{pin} is for no supported Python"
        no = [python for python in asked if not SpecifierSet(allowed or "").contains(python)]
        refusing += [f"{pin} needs Python {allowed}, not {python}" for python in no]
    assert refusing == []
    assert unknown == [], (
        f"{unknown} are not installed, so nothing is known of them. Install what the tests need "
        "(make lint), or add them to PARTLY_INSTALLED if this Python does not want them."
    )


def test_what_is_partly_installed_is_still_pinned():
    assert PARTLY_INSTALLED.keys() <= {f"{name}{pin.specifier}" for name, pin in pins().items()}


@pytest.mark.parametrize("python", PYTHONS)
def test_what_a_pin_requires_is_pinned_too(python):
    """From the project's own requirements down, by the metadata of what is installed here."""
    if platform.system() != "Linux":
        pytest.skip("the pins are those of Linux")
    known, todo, seen, wrong = pins(), [(one, "pyproject.toml") for one in direct()], set(), []
    while todo:
        one, wanted_by = todo.pop()
        name, extras = canonicalize_name(one.name), frozenset(one.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        pin = known.get(name)
        if pin is None or not holds(pin, python):
            wrong.append(f"{wanted_by} requires {one}, which is not pinned for Python {python}")
            continue
        version = str(pin.specifier).removeprefix("==")
        if not one.specifier.contains(version, prereleases=True):
            wrong.append(f"{wanted_by} requires {one}, and {version} is pinned")
        if (found := installed(name, pin)) is not None:
            todo += [(deeper, name) for deeper in required_by(found, extras, python)]
    assert wrong == []


def required_by(distribution, extras, python):
    """Yield what a distribution requires; not the CUDA packages, which torch itself pins."""
    for line in distribution.requires or []:
        one = Requirement(line)
        wanted = [environment(python) | {"extra": extra} for extra in ("", *extras)]
        if one.name.startswith(("nvidia-", "cuda-")):
            continue
        if one.marker is None or any(map(one.marker.evaluate, wanted)):
            yield one
