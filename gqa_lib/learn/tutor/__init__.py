"""The tutor: answers questions on the lessons, and says when they have no answer.

`answer.ask` is the engine. Three thin entry points lead to it: `gqa ask`, the cell magic `%%ask`
(`%load_ext gqa_lib.learn.tutor`) and the chat in JupyterLab (`persona`).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # of __init__.pyi
