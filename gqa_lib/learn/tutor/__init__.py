"""The tutor: answers questions with the lessons' own words, and says when they have none.

`answer.ask` is the engine. Three thin entry points lead to it: `gqa ask`, the cell magic `%%ask`
(`%load_ext gqa_lib.learn.tutor`) and the chat in JupyterLab (`persona`).
"""

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Make `%%ask` known; the name IPython looks for."""
    from .magic import register

    register(shell)
