"""The library's reference: a page for each package, made of what its docstrings say.

A page begins with the package's own docstring and a table of what it offers; Sphinx's autodoc
writes what each function and class takes, returns and refuses.
"""

import inspect
from importlib import import_module
from types import ModuleType

from .tables import cell, table

# What an engineer calls, in the order of the sidebar; a name with a dot is a package of a package.
PACKAGES = (
    *("attention", "cache", "cache.eviction", "kernels"),
    *("configs", "cost", "hardware", "heads"),
    *("model", "model.parallel", "train"),
    *("serving", "serving.traffic", "serving.simulator", "serving.plan"),
    *("measure", "compare", "bench", "records", "plots", "explore"),
)
_OF_THE_COURSE = ("cli", "course", "learn")  # packages that are not for an engineer's own code


def reference_pages() -> dict[str, str]:
    """Return the text of each page by its place in the sources, without `.md`; the first leads."""
    made = {f"reference/{name}": package_page(name) for name in PACKAGES}
    return {"reference/index": _front()} | made


def missing_packages() -> list[str]:
    """Return the packages of the library that have no page and are not the course's own."""
    face = public_names(import_module("gqa_lib"))
    offered = [name for name, one in face.items() if hasattr(one, "__path__")]
    return [name for name in offered if name not in (*PACKAGES, *_OF_THE_COURSE)]


def _front() -> str:
    rows = [
        [f"[{name}]({name}.md)", cell(_first_line(import_module(f"gqa_lib.{name}")))]
        for name in PACKAGES
    ]
    return (
        "# The library\n\n`gqa_lib` is an ordinary package: `pip install -e .` in a clone gives it "
        "with torch, NumPy and safetensors. What it is for, with examples, is in the repository's "
        "README; here is what each package offers.\n\n"
        f"{table(['package', 'what it is'], rows)}\n"
    )


def package_page(name: str) -> str:
    """Return the page of a package.

    Args:
        name: its name within gqa_lib.
    """
    module = import_module(f"gqa_lib.{name}")
    offered = public_names(module)
    modules = [thing for thing in offered.values() if isinstance(thing, ModuleType)]
    whole = len(modules) == len(offered)  # a face of modules alone
    parts = [f"# `gqa_lib.{name}`", inspect.getdoc(module) or ""]
    if not whole:
        parts += [_contents(module, offered), *_documented(module, offered)]
    for one in modules if whole else ():
        below = public_names(one)
        parts += [f"## `{one.__name__}`", inspect.getdoc(one) or "", _contents(one, below)]
        parts += _documented(one, below)
    return "\n\n".join(filter(None, parts)) + "\n"


def public_names(module: ModuleType) -> dict[str, object]:
    """Return what a module offers by name: its `__all__`, or what is defined in it."""
    named = getattr(module, "__all__", None)
    if named is None:
        named = [
            name
            for name, thing in vars(module).items()
            if not name.startswith("_") and getattr(thing, "__module__", "") == module.__name__
        ]
    return {name: getattr(module, name) for name in sorted(named, key=str.lower)}


def _contents(module: ModuleType, offered: dict[str, object]) -> str:
    ordered = sorted(offered.items(), key=lambda pair: inspect.ismodule(pair[1]))  # these last
    rows = [[_name(module, name, thing), cell(_said(thing))] for name, thing in ordered]
    return f":::{{container}} offered\n{table(['name', 'what it is'], rows)}\n:::"


def _name(module: ModuleType, name: str, thing: object) -> str:
    full = f"{module.__name__}.{name}"
    if _directive(thing):
        page = _page_of(thing)
        elsewhere = f"{page}.html" if page and page != _short(module) else ""
        full = f"gqa_lib.{page}.{name}" if elsewhere else full
        return f'<a href="{elsewhere}#{full}"><code>{name}</code></a>'
    return f"[`{name}`]({full[8:]}.md)" if full[8:] in PACKAGES else f"`{name}`"


def _short(module: ModuleType) -> str:
    return module.__name__.removeprefix("gqa_lib.")


def _page_of(thing: object) -> str:
    """Return the first package that offers a function or class: that one's page describes it."""
    return next((name for name in PACKAGES if _offers(name, thing)), "")


def _offers(name: str, thing: object) -> bool:
    return any(one is thing for one in public_names(import_module(f"gqa_lib.{name}")).values())


def _said(thing: object) -> str:
    if _directive(thing) or inspect.ismodule(thing):
        return _first_line(thing)
    return f"a constant: {thing!r}" if isinstance(thing, int | str) else _kind(thing)


def _kind(thing: object) -> str:
    return f"a constant, of type {type(thing).__name__}"


def _documented(module: ModuleType, offered: dict[str, object]) -> list[str]:
    """Return autodoc's directive for each class and function, the classes first."""
    wanted = [
        (name, directive)
        for name, one in offered.items()
        if (directive := _directive(one)) and _page_of(one) in ("", _short(module))
    ]
    return [
        f"```{{eval-rst}}\n.. {directive}:: {module.__name__}.{name}\n```"
        for name, directive in sorted(wanted, key=lambda pair: pair[1])
    ]


def _directive(thing: object) -> str:
    if inspect.isclass(thing):
        return "autoclass"
    return "autofunction" if inspect.isroutine(thing) else ""


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]
