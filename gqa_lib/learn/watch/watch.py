"""Watches calls to learner's code, in this process or where that code runs."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch

from .answers import library_answer
from .copies import Copies, Made, OutOfTorch
from .devices import StaysBehind
from .gradients import Gradients
from .kernels import Kernels
from .parts import Parts
from .plain import NotPlain, plain_here
from .settings import restore, settings
from .whole import Whole


@dataclass
class Observation:
    """What was seen of a call, or of several."""

    settings: list[str] = field(default_factory=list)  # functions that changed the whole process
    mixed: str = ""  # the first function that mixed devices, as a GPU would see it
    left_behind: bool = False  # the result would be on the CPU
    copied: int = 0  # elements of keys and values copied
    largest: int = 0  # elements of the largest new tensor
    operation: str = ""  # the last operation that copied some, or that made the largest
    written: int = 0  # elements that all operations together wrote
    whole: str = ""  # the first call of torch's own attention
    reads: list[int] = field(default_factory=list)  # elements a kernel read of each tensor given
    reached: int = 0  # tensors that gradients of a result reach
    small_dot: str = ""  # the first tile product that is too small for a GPU
    rounded_dot: bool = False  # a GPU would round float32 in a tile product
    keys_of_part: int = 0  # the most keys that one softmax is taken over

    def add(self, other: "Observation") -> None:
        """Take in what was seen of one more call."""
        self.settings += [name for name in other.settings if name not in self.settings]
        self.mixed = self.mixed or other.mixed
        self.left_behind = self.left_behind or other.left_behind
        self.copied += other.copied
        if other.copied or other.largest > self.largest:
            self.operation = other.operation
        self.largest = max(self.largest, other.largest)
        self.written += other.written
        self.whole = self.whole or other.whole
        self.reads = self.reads or other.reads
        self.reached = max(self.reached, other.reached)
        self.small_dot = self.small_dot or other.small_dot
        self.rounded_dot = self.rounded_dot or other.rounded_dot
        self.keys_of_part = max(self.keys_of_part, other.keys_of_part)


class Watch(AbstractContextManager):
    """Watches code that runs in this process; sets back the settings it changed.

    Args:
        settings: see which functions of torch changed the whole process.
        devices: see what would fail on a GPU.
        copies: (S, D): see what is copied of keys and values of that size.
        made: see the largest new tensor, and how much is written in all.
        gradients: let the arguments need gradients, and see which tensors they reach.
        kernels: see what interpreted Triton kernels read and multiply.
        parts: see over how many keys, the second argument, a softmax is taken at once.
        whole: see whether torch's own attention is called.
        given: the call's arguments, which are not copies.
    """

    def __init__(
        self,
        *,
        settings: bool = False,
        devices: bool = False,
        copies: tuple[int, int] | None = None,
        made: bool = False,
        gradients: bool = False,
        kernels: bool = False,
        parts: bool = False,
        whole: bool = False,
        given: Iterable = (),
    ):
        self._settings, self._stack = settings, ExitStack()
        self._before: dict = {}
        self._changed: list[str] = []
        self._devices = StaysBehind() if devices else None
        known = [one for one in given if isinstance(one, torch.Tensor)]
        self._copies = Copies(known, *copies) if copies else None
        self._made = Made() if made else None
        self._out = OutOfTorch() if copies or made else None
        self._whole = Whole() if whole else None
        self._gradients = Gradients(known) if gradients else None
        self._kernels = Kernels(known) if kernels else None
        self._parts = Parts(known[1]) if parts and len(known) > 1 else None

    def __enter__(self):
        self._before = settings() if self._settings else {}
        values = (self._devices, self._copies, self._made, self._gradients, self._parts)
        modes: tuple[AbstractContextManager | None, ...]
        modes = (*values, self._kernels, self._out, self._whole)
        for mode in modes:
            if mode is not None:
                self._stack.enter_context(mode)
        return self

    def __exit__(self, *exception):
        self._stack.close()
        self._changed = restore(self._before) if self._settings else []

    def seen(self, result: Any) -> Observation:
        """Return what was seen of the call that gave `result`."""
        seen = Observation(settings=self._changed)
        if self._devices:
            seen.mixed = self._devices.mixed
            seen.left_behind = self._devices.left_behind(result)
        if self._copies:
            seen.copied, seen.operation = self._copies.elements, self._copies.operation
            seen.copied += self._out.elements if self._out else 0
        if self._made:
            seen.largest, seen.operation = self._made.elements, self._made.operation
            seen.written = self._made.written + (self._out.elements if self._out else 0)
        if self._gradients:
            seen.reached = self._gradients.reached(result)
        if self._kernels:
            seen.reads, seen.small_dot = self._kernels.reads, self._kernels.small_dot
            seen.rounded_dot = self._kernels.rounded_dot
        if self._whole:
            seen.whole = self._whole.name
        if self._parts:
            seen.keys_of_part = self._parts.largest
        return seen


class Elsewhere:
    """An object of the learner's in another process: what is done with it is done there."""

    _gqa_answer = ""  # the part of the library that it uses, as reported from there

    def _gqa_plain(self, kernel: bool) -> Any:
        """Return the same object where only plain code has run; see `where_seen`."""
        raise NotImplementedError

    def _gqa_watch(self, **what) -> AbstractContextManager:
        """Watch the calls to this object and to what came of it; like `Watch`."""
        raise NotImplementedError


def watching(
    yours: Any, *, given: Iterable = (), arguments: bool = False, **what
) -> AbstractContextManager:
    """Return a context in which calls to learner's code are watched; ask it for `seen(result)`.

    Args:
        yours: the learner's function or class.
        given: see `Watch`.
        arguments: let changes to arguments be seen here although the code runs elsewhere. The
            caller has taken copies of them before.
        what: see `Watch`.
    """
    if isinstance(yours, Elsewhere):
        return yours._gqa_watch(arguments=arguments, **what)
    return Watch(given=given, **what)


class NotSeen(Exception):
    """Learner's code cannot be watched where a watch is to be believed; the message says why."""


def where_seen(yours: Any, *, kernel: bool = False) -> Any:
    """Return learner's code as it is where nothing but plain code has run.

    Elsewhere it is in the process of what it does and of what reports that, and could make the
    report say anything: what is seen of a call earns points only if it is seen of this one.

    Args:
        yours: the learner's function or class.
        kernel: it has to be a Triton kernel.

    Raises:
        NotSeen: it is not plain, or not a kernel.
    """
    if isinstance(yours, Elsewhere):
        return yours._gqa_plain(kernel)
    try:
        return plain_here(yours, kernel)
    except NotPlain as problem:
        raise NotSeen(str(problem)) from None


def answer_used(yours: Any) -> str:
    """Return the part of the library, holding the answer, that learner's code uses, or ""."""
    return yours._gqa_answer if isinstance(yours, Elsewhere) else library_answer(yours)


def place_of(tensor: torch.Tensor) -> int:
    """Return where a tensor's memory begins, in the process that made it."""
    there = getattr(tensor, "_gqa_there", None)
    return there.place if there else tensor.untyped_storage().data_ptr()


def as_it_is_now(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor that learner's code gave, with the values it has by now."""
    there = getattr(tensor, "_gqa_there", None)
    return there.read() if there else tensor


def inplace(yours: Any) -> Any:
    """Return learner's code such that a test sees what it does to its arguments.

    Elsewhere arguments go by value and stay as they are here; a test of an in-place update asks for
    the change with this, call by call, and takes what it compares with from copies made before.
    """
    return _inplace(yours, yours._gqa_watch) if isinstance(yours, Elsewhere) else yours


def _inplace(yours, watch: Callable[..., AbstractContextManager]) -> Callable:
    def call(*arguments, **keywords):
        with watch(arguments=True):
            return yours(*arguments, **keywords)

    return call
