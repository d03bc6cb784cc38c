"""The learner's desk: a JupyterLab workspace with the lesson left, the tutor right, the map behind.

JupyterLab keeps the workspace while the learner works. Before it opens again, what is still there
of it is kept, what a desk must have is put back, and a damaged one is rebuilt. Of the notebooks
those in sight are kept: JupyterLab would start a kernel for each of the others, too.
"""

import json
from importlib.util import find_spec
from typing import Any

from gqa_lib.course import places
from gqa_lib.course.manifest import Lesson, lessons
from gqa_lib.course.places import DESK, workspaces
from gqa_lib.learn.guide.map import write_map
from gqa_lib.learn.progress.standing import next_lesson, standings
from gqa_lib.learn.tutor.chat import put_chat

NAME, INSTRUCTORS = DESK, "instructor"
_KINDS = {  # of tabs: what JupyterLab calls them, and what it opens them with
    "notebook": "Notebook",
    "markdownviewer-widget": "Markdown Preview",
    "editor": "Editor",
    "chat": "Chat",
}
_MAP, _TUTOR = "markdownviewer-widget:map.md", "chat:tutor.chat"
_FORMGRADER = "nbgrader-formgrader:nbgrader-formgrader"
_LESSON_SHARE = 0.66  # of the width


def arrange(lesson: Lesson | None = None) -> Lesson:
    """Get the desk ready for JupyterLab to open, and return the lesson that will be in front.

    Args:
        lesson: the lesson to show; the one that was open last unless given.
    """
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    write_map()
    if has_tutor():
        put_chat()
    manager = WorkspacesManager(str(workspaces()))
    try:
        saved = manager.load(NAME)["data"]["layout-restorer:data"]
        dock, current = _kept(saved["main"]["dock"]), str(saved["main"].get("current"))
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        dock, current = None, ""  # none yet, or damaged
    lesson = lesson or _lesson_of(current) or _last(dock)
    dock = _without_hidden_notebooks(_complete(dock, _tab(lesson)))
    data = {"data": _data(dock, _tab(lesson)), "metadata": {"id": NAME}}
    manager.save(NAME, json.dumps(data))
    return lesson


def arrange_instructors() -> None:
    """Get the instructor's desk ready: Formgrader in front, whatever was there before."""
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    dock = {"type": "tab-area", "currentIndex": 0, "widgets": [_FORMGRADER]}
    data = {"data": _data(dock, _FORMGRADER), "metadata": {"id": INSTRUCTORS}}
    WorkspacesManager(str(workspaces())).save(INSTRUCTORS, json.dumps(data))


def has_tutor() -> bool:
    """Return whether JupyterLab has the chat that the tutor answers in."""
    return find_spec("jupyterlab_chat") is not None


def _last(dock: dict[str, Any] | None) -> Lesson:
    """Return the lesson last worked on, as far as the open tabs or else the record tell."""
    everything = standings()
    opened = [tab for area in _areas(dock) for tab in area["widgets"]]
    among = [one for one in everything if _tab(one.lesson) in opened]
    if among:
        return max(among, key=lambda one: one.touched).lesson
    found = next_lesson(everything)
    return found.lesson if found else lessons()[0]


def _tab(lesson: Lesson) -> str:
    return f"notebook:{lesson.slug}/{lesson.slug}.ipynb"


def _lesson_of(tab: str) -> Lesson | None:
    return next((lesson for lesson in lessons() if _tab(lesson) == tab), None)


def _kept(node: dict[str, Any]) -> dict[str, Any] | None:
    """Return a part of the dock without the tabs that could not be opened; None if none is left."""
    if node["type"] == "tab-area":
        tabs = [tab for tab in node["widgets"] if _opens(tab)]
        front = node["widgets"][node["currentIndex"]] if node["widgets"] else None
        index = tabs.index(front) if front in tabs else 0
        return {"type": "tab-area", "currentIndex": index, "widgets": tabs} if tabs else None
    sizes = [float(size) for size in node["sizes"]]
    parts = [
        (part, size)
        for part, size in zip(map(_kept, node["children"]), sizes, strict=True)
        if part and size > 0
    ]
    if len(parts) < 2:
        return parts[0][0] if parts else None
    return _split([part for part, _ in parts], [size for _, size in parts], node["orientation"])


def _opens(tab: str) -> bool:
    """Return whether a tab shows a file that is there, in a way that JupyterLab has."""
    kind, _, path = tab.partition(":")
    if kind == "chat" and not has_tutor():
        return False
    return kind in _KINDS and path != "" and (places.work() / path).is_file()


def _split(parts: list, sizes: list[float], orientation: str = "horizontal") -> dict[str, Any]:
    if orientation not in ("horizontal", "vertical"):
        raise ValueError(f"no orientation: {orientation}")
    return {"type": "split-area", "orientation": orientation, "sizes": sizes, "children": parts}


def _complete(dock: dict[str, Any] | None, tab: str) -> dict[str, Any]:
    """Return the dock with the lesson in front, the map behind it, the tutor next to it."""
    tutor = {"type": "tab-area", "currentIndex": 0, "widgets": [_TUTOR]}
    areas = list(_areas(dock))
    lesson_area = next((a for a in areas if tab in a["widgets"]), None) or next(
        (a for a in areas if any(_lesson_of(t) for t in a["widgets"])), None
    )
    if lesson_area is None:
        dock = lesson_area = {"type": "tab-area", "currentIndex": 0, "widgets": []}
        areas = [lesson_area]
    for wanted in (tab, _MAP):
        if not any(wanted in area["widgets"] for area in areas):
            lesson_area["widgets"].append(wanted)
    lesson_area["currentIndex"] = lesson_area["widgets"].index(tab)
    if has_tutor() and not any(_TUTOR in area["widgets"] for area in areas):
        return _split([dock, tutor], [_LESSON_SHARE, 1 - _LESSON_SHARE])
    assert dock is not None
    return dock


def _without_hidden_notebooks(dock: dict[str, Any]) -> dict[str, Any]:
    """Return the dock without the notebooks that are behind other tabs; the map has links to them.

    Args:
        dock: the dock, which is changed.
    """
    for area in _areas(dock):
        front = area["widgets"][area["currentIndex"]]
        area["widgets"] = [
            t for t in area["widgets"] if t == front or not t.startswith("notebook:")
        ]
        area["currentIndex"] = area["widgets"].index(front)
    return dock


def _areas(node: dict[str, Any] | None):
    """Yield the tab areas of a part of the dock."""
    if node and node["type"] == "tab-area":
        yield node
    for child in (node or {}).get("children", []):
        yield from _areas(child)


def _data(dock: dict[str, Any], current: str) -> dict[str, Any]:
    """Return a workspace's data: the layout, and how each tab is opened."""
    layout = {
        "main": {"dock": dock, "current": current},
        "down": {"size": 0, "widgets": []},
        "left": {"collapsed": True, "visible": True, "current": None, "widgets": ["filebrowser"]},
        "right": {"collapsed": True, "visible": True, "current": None, "widgets": []},
        "relativeSizes": [0, 1, 0],
        "top": {"simpleVisibility": True},
    }
    data: dict[str, Any] = {"layout-restorer:data": layout}
    for tab in (tab for area in _areas(dock) for tab in area["widgets"]):
        kind, _, path = tab.partition(":")
        opened: dict[str, Any] = {"path": path, "factory": _KINDS.get(kind)}
        if kind == "chat":  # which is opened by a command of its own
            opened = {"filepath": path, "inSidePanel": False, "startup": True}
        data[tab] = {"data": opened if kind in _KINDS else {}}
    return data
