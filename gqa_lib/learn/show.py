"""Shows Markdown where there is a notebook, and text where there is none."""


def show(markdown: str, *, text: str | None = None) -> None:
    """Show Markdown in a notebook; in a terminal print `text`, or the Markdown as it is."""
    try:
        from IPython import get_ipython
        from IPython.display import Markdown, display
    except ImportError:
        shell = None
    else:
        shell = get_ipython()
    if shell is None:
        print(markdown if text is None else text)
    else:
        display(Markdown(markdown))
