"""The student's objects as a test has them: each question goes to the student's process."""

from typing import Any

from gqa_lib.learn.watch import Elsewhere


class Proxy(Elsewhere):
    """One of the student's objects; equal to nothing but itself."""

    _gqa_name = ""  # what its notebook calls it, if it was asked for by that

    def __init__(self, link: Any, number: int):
        self.__dict__.update(_link=link, _number=number)

    def __repr__(self) -> str:
        return f"<the student's {type(self).__name__}>"

    def __getattr__(self, name: str):
        if name.startswith("__") or name.startswith("_gqa"):
            raise AttributeError(name)
        return self._link.do("attribute", self._number, name=name)

    def __getitem__(self, key):
        return self._link.do("item", self._number, key=key)

    def __len__(self) -> int:
        length = self._link.do("length", self._number)
        if type(length) is not int:
            raise TypeError(f"len() of the student's object is not a number: {length!r}")
        return length

    def __bool__(self) -> bool:
        return True

    def __iter__(self):
        return iter(self._link.do("items", self._number))

    def _gqa_plain(self, kernel: bool):
        return self._link.plain(self._gqa_name, kernel)

    def _gqa_watch(self, **what):
        return self._link.watch(**what)


class Function(Proxy):
    """A student's function, class or callable object."""

    def __call__(self, *arguments, **keywords):
        """Call it there, by value."""
        return self._link.call(self._number, arguments, keywords)
