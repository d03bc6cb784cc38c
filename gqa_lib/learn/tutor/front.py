"""Which notebook is in front on the learner's desk, as JupyterLab keeps it on disk."""

import os
from collections.abc import Iterator
from typing import Any

from gqa_lib.course.places import DESK, workspaces

_NOTEBOOK = "notebook:"


def front_notebook() -> str | None:
    """Return the path of the notebook in front, None where that is unknown.

    JupyterLab writes the layout of its tabs within a second of each change. The notebook with the
    focus comes first, else the visible one furthest to the left.
    """
    if os.environ.get("JUPYTERLAB_WORKSPACES_DIR") != str(workspaces()):
        return None  # a JupyterLab that `gqa lab` did not start
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    try:
        saved = WorkspacesManager(str(workspaces())).load(DESK)["data"]["layout-restorer:data"]
        current, dock = saved["main"].get("current"), saved["main"]["dock"]
        visible = [tab for tab in front_tabs(dock) if tab.startswith(_NOTEBOOK)]
    except Exception:  # none yet, or damaged: it is only a guess that is lost
        return None
    tabs = [tab for tab in visible if tab == current] or visible
    return tabs[0].removeprefix(_NOTEBOOK) if tabs else None


def front_tabs(node: dict[str, Any]) -> Iterator[str]:
    """Yield the visible tab of each area in a part of the dock, from left to right.

    Args:
        node: the part, as JupyterLab saves it.
    """
    if node["type"] == "tab-area":
        yield from node["widgets"][node["currentIndex"] :][:1]
    for child in node.get("children", []):
        yield from front_tabs(child)
