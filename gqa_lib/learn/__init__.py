"""What a learner touches from a notebook: `check`, `hint`, `show_quiz` and their kin.

`inplace` and `partial_credit` are for those who write tests.
"""

_WHERE = {
    "check": "checking",
    "check_no_copy": "copies",
    "check_quiz": "quiz",
    "kv_copied": "copies",
    "hint": "hints",
    "inplace": "watch",
    "partial_credit": "partial",
    "show_quiz": "quiz",
}

__all__ = [
    "check",
    "check_no_copy",
    "check_quiz",
    "hint",
    "inplace",
    "kv_copied",
    "partial_credit",
    "show_quiz",
]


def __getattr__(name):
    if name in _WHERE:
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
