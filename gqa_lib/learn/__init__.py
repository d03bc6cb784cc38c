"""What a learner touches from a notebook: `check`, `hint`, `show_quiz` and their kin.

`show_map` and `wrap_up` show where the learner stands; `course_map` is the map as Markdown.

`inplace` and `partial_credit` are for those who write tests.
"""

_WHERE = {
    "check": "checking",
    "check_no_copy": "copies",
    "check_quiz": "quiz",
    "kv_copied": "copies",
    "course_map": "map",
    "hint": "hints",
    "inplace": "watch",
    "partial_credit": "partial",
    "show_quiz": "quiz",
    "show_map": "map",
    "wrap_up": "ending",
}

__all__ = [
    "check",
    "check_no_copy",
    "check_quiz",
    "course_map",
    "hint",
    "inplace",
    "kv_copied",
    "partial_credit",
    "show_map",
    "show_quiz",
    "wrap_up",
]


def __getattr__(name):
    if name in _WHERE:
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
