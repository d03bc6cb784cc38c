"""Shows Markdown where there is a notebook, and text where there is none."""

from typing import Any


def show(markdown: str, *, text: str | None = None, widget: Any = None) -> None:
    """Show Markdown in a notebook; in a terminal print `text`, or the Markdown as it is.

    Args:
        markdown: what a notebook shows.
        text: what a terminal prints.
        widget: what a notebook shows instead, where it can show widgets.
    """
    text = markdown if text is None else text
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        shell = None
    else:
        shell = get_ipython()
    if shell is None:
        print(text)
        return
    made = widget._repr_mimebundle_() if widget is not None else {}
    data = made[0] if isinstance(made, tuple) else made  # with or without metadata
    display({**(data or {}), "text/markdown": markdown, "text/plain": text}, raw=True)
