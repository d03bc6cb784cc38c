"""What a learner touches from a notebook: `check`, `check_no_copy`, `kv_copied` and `hint`."""

_WHERE = {"check": "check", "check_no_copy": "copies", "kv_copied": "copies", "hint": "hints"}

__all__ = ["check", "check_no_copy", "hint", "kv_copied"]


def __getattr__(name):
    if name in _WHERE:
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
        globals()[name] = value  # over the submodule of the same name
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
