"""The library's reference: a page for each package, with what it offers and nothing twice."""

import inspect
from importlib import import_module

import pytest

from grading.site import reference
from grading.site.build import make_pages
from grading.site.front import anywhere_page
from grading.site.reference import PACKAGES, package_page, public_names


def test_every_package_of_the_library_has_a_page():
    assert reference.missing_packages() == []
    assert set(reference.reference_pages()) == {f"reference/{n}" for n in ("index", *PACKAGES)}


def test_a_package_without_a_page_would_be_found(monkeypatch):
    monkeypatch.setattr(reference, "PACKAGES", tuple(set(PACKAGES) - {"attention", "cost"}))
    assert reference.missing_packages() == ["attention", "cost"]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_page_has_every_public_name_and_says_what_it_is(name):
    module, page = import_module(f"gqa_lib.{name}"), package_page(name)
    offered = public_names(module)
    assert all(f"`{one}`" in page or f"<code>{one}</code>" in page for one in offered) or all(
        inspect.ismodule(one) for one in offered.values()
    )
    rows = [
        line for line in page.splitlines() if line.startswith("| ") and "what it is" not in line
    ]
    assert len(rows) >= len(offered) or "compare" in name
    assert all(row.split(" | ")[1].strip(" |") for row in rows), "each has a sentence"


def test_nothing_is_described_twice():
    described = [
        line.rpartition(" ")[2]
        for name in PACKAGES
        for line in package_page(name).splitlines()
        if line.startswith(".. auto")
    ]
    assert "gqa_lib.cache.EvictingCache" in described
    assert "gqa_lib.cache.eviction.EvictingCache" not in described
    things = [
        getattr(import_module(one.rpartition(".")[0]), one.rpartition(".")[2]) for one in described
    ]
    assert len({id(thing) for thing in things}) == len(things)
    assert 'href="cache.html#gqa_lib.cache.EvictingCache"' in package_page("cache.eviction")


def test_docstrings_as_they_are_written_become_pages_without_a_warning(tmp_path):
    source = tmp_path / "source"
    (source / "reference").mkdir(parents=True)
    names = (
        "compare",
        "heads",
        "kernels",
        "bench",
    )  # `X`s, Args, functions as defaults, attributes
    for name in names:
        (source / "reference" / f"{name}.md").write_text(package_page(name))
    listed = "\n".join(f"reference/{name}" for name in names)
    (source / "index.md").write_text(f"# Here\n\n```{{toctree}}\n{listed}\n```\n")
    assert make_pages(source, tmp_path / "html") == []
    page = (tmp_path / "html" / "reference" / "heads.html").read_text()
    assert "Parameters" in page
    assert "what the error begins with, such as a model" in page
    for name in names:
        made = (tmp_path / "html" / "reference" / f"{name}.html").read_text()
        assert " at 0x" not in made  # no address of this run


def test_the_page_on_running_it_leads_to_what_the_site_has():
    page = anywhere_page()
    assert "(../" not in page
    assert "(#docker)" in page
    assert "learning.md" not in page
