"""What a learner calls from a notebook: `check`, `hint`, `hunt`, `guess`, `show_quiz` and the like.

`submit` hands a lesson in. `show_map` and `wrap_up` show where the learner stands;
`course_map` is the map as Markdown.
`inplace` and `partial_credit` are for those who write tests.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # of __init__.pyi
