"""What a learner touches from a notebook: `check`, `check_no_copy`, `kv_copied` and `hint`.

`inplace` and `partial_credit` are for those who write tests.
"""

_WHERE = {
    "check": "checking",
    "check_no_copy": "copies",
    "kv_copied": "copies",
    "hint": "hints",
    "inplace": "watch",
    "partial_credit": "partial",
}

__all__ = ["check", "check_no_copy", "hint", "inplace", "kv_copied", "partial_credit"]


def __getattr__(name):
    if name in _WHERE:
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
