"""The judge's end of the line to the student's process: what is asked there, and what comes back.

Arguments and results cross by value. What a student's code does to its arguments stays on its
side, unless the test watches for just that; what comes back is checked and then is plain data.
"""

import builtins
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from gqa_lib.cache import KVCache
from gqa_lib.learn.exercises.exercise import Complaint
from gqa_lib.learn.watch import NotSeen, Observation

from ..student.wire import MAX_ITEMS, Channel, Garbled, pack, tensors_in, unpack
from .changes import write_back
from .hidden import Unshown
from .proxy import Function, Proxy
from .records import RECORDS, record_of
from .reports import StudentError, exception_of, seen_of

# what the student's code may do with objects that stay here
SHARED = {KVCache: ("append", "length", "max_seq_len", "nbytes", "reset")}
MAX_CALLBACKS = 10_000
_NO_REPORTS = {"arguments", "spoil"}  # of what a call is watched for


class Stopped(BaseException):
    """The student's process answers no more; no check may take this for a wrong answer."""


class Link:
    """The judge's end of the line to the student's process.

    Args:
        channel: the line.

    Attributes:
        witness: the line to where only the plain code of the same notebook runs.
    """

    witness: "Link | None" = None
    must_report = False  # what it saw of a call, all of it

    def __init__(self, channel: Channel):
        self.channel = channel
        self.deadline = float("inf")
        self.stopped = ""
        self.printed = ""
        self.unshown: Unshown | None = None  # where the calls are of hidden tests
        self._shared: list = []
        self._watch: dict = {}
        self._seen = Observation()

    def get(self, name: str) -> Any:
        """Return the student's value of a name.

        Raises:
            NameError: there is none.
        """
        reply, blobs = self._ask({"op": "get", "name": name}, [])
        value = self._named(name, self._value(reply, blobs))
        if isinstance(value, Proxy):
            value.__dict__["_gqa_answer"] = str(reply.get("answer", ""))[:200]
        return value

    def _named(self, name: str, value: Any) -> Any:
        if isinstance(value, Proxy):
            value.__dict__["_gqa_name"] = name
        return value

    def plain(self, name: str, kernel: bool) -> Any:
        """Return the value of a name where only plain code has run.

        Raises:
            NotSeen: what it needs is not plain.
            Stopped: there is nobody to ask.
        """
        if self.witness is None or not name:
            raise NotSeen("what it does cannot be watched here, and that is part of this check.")
        self.witness.deadline, self.witness.unshown = self.deadline, self.unshown
        return self.witness.plain(name, kernel)

    def do(self, operation: str, number: int, **what: Any) -> Any:
        """Return what an operation on one of the student's objects gives."""
        blobs: list = []
        request = {"op": operation, "object": number}
        if "key" in what:
            what["key"] = self._pack(what["key"], blobs)
        return self._value(*self._ask(request | what, blobs))

    def read(self, tensor: int) -> torch.Tensor:
        """Return a tensor given before with the values it has by now."""
        return self._value(*self._ask({"op": "read", "tensor": tensor}, []))

    def call(self, number: int, arguments: tuple, keywords: dict) -> Any:
        """Return what the student's function or class gives; its changes to arguments stay there.

        Raises:
            Exception: what it raised, as itself where Python has that class.
            Stopped: it did not answer, or no longer can.
        """
        blobs: list = []
        watch = {name: value for name, value in self._watch.items() if value}
        request = {
            "op": "call",
            "object": number,
            "arguments": self._pack(list(arguments), blobs),
            "keywords": self._pack(keywords, blobs),
            "watch": self._pack(watch, blobs),
        }
        reply, blobs = self._ask(request, blobs)
        if "seen" in reply or (self.must_report and watch.keys() - _NO_REPORTS):
            self._seen.add(seen_of(reply.get("seen"), whole=self.must_report))
        if watch.get("arguments") and "changed" in reply:
            changed = unpack(reply["changed"], blobs, self._resolve)
            write_back([list(arguments), keywords], changed)
        return self._value(reply, blobs)

    @contextmanager
    def watch(self, **what: Any) -> Iterator["_Watched"]:
        """Watch the calls made meanwhile."""
        before = self._watch, self._seen
        self._watch, self._seen = what, Observation()
        try:
            yield _Watched(self._seen)
        finally:
            self._watch, self._seen = before

    def rest(self) -> None:
        """Let the student's process do something other than answering."""
        if not self.stopped:
            self._guarded(lambda: self.channel.send({"op": "rest"}))

    def _value(self, reply: dict, blobs: list):
        try:
            value = unpack(reply["value"], blobs, self._resolve)
        except (Garbled, KeyError) as error:
            raise StudentError(f"what it returned is not a value: {error}") from None
        for tensor, its in tensors_in(value, reply["value"]):
            number, place = its.get("number"), its.get("place")
            if type(number) is int and type(place) is int:
                tensor._gqa_there = _There(self, number, place)
        return value

    def _ask(self, request: dict, blobs: list) -> tuple[dict, list]:
        self._guarded(lambda: self.channel.send(request, blobs))
        complaint = None
        for _ in range(MAX_CALLBACKS):
            reply, blobs = self._guarded(self.channel.receive)
            if "judge" not in reply:
                break
            try:
                answer, sent = self._for_student(reply, blobs)
            except Complaint as error:  # the student's code may catch it; it stands all the same
                complaint = complaint or error
                answer, sent = {"error": ["RuntimeError", str(error)]}, []
            self._guarded(lambda answer=answer, sent=sent: self.channel.send(answer, sent))
        else:
            self._stop("its code asked the test for more than any exercise needs")
        if self.unshown and reply.get("printed"):
            self.unshown.printed = True
        elif len(self.printed) < MAX_ITEMS:
            self.printed += str(reply.get("printed", ""))[:MAX_ITEMS]
        if complaint is not None:
            raise complaint
        if "error" in reply:
            if self.unshown:
                self.unshown.add(reply["error"])
            raise exception_of(reply["error"])
        return reply, blobs

    def _guarded(self, step):
        """Return what one exchange with the student's process gives, in the time that is left."""
        if self.stopped:
            raise Stopped(self.stopped)
        self.channel.deadline = self.deadline
        try:
            return step()
        except TimeoutError:
            self._stop("time limit")
        except Garbled as error:
            self._stop(f"its process sent {error}")
        except (EOFError, OSError):
            self._stop("its process ended")

    def _stop(self, reason: str):
        self.stopped = reason
        raise Stopped(reason)

    def _for_student(self, asked: dict, blobs: list) -> tuple[dict, list]:
        """Return the answer to a request about an object that stays here."""
        sent: list = []
        try:
            shared, name = self._shared[asked["judge"]], asked["name"]
            allowed = next(names for kind, names in SHARED.items() if isinstance(shared, kind))
            if name not in allowed:
                raise AttributeError(f"it has no {name!r}; there is {', '.join(allowed)}")
            value = getattr(shared, name)
            if callable(value) and "arguments" not in asked:
                return {"method": True}, []
            if callable(value):
                given = unpack(asked["arguments"], blobs, self._resolve)
                named = unpack(asked["keywords"], blobs, self._resolve)
                value = value(*given, **named)
            return {"value": self._pack(value, sent)}, sent
        except Complaint:
            raise
        except (Exception, StopIteration) as error:
            kind = type(error).__name__
            return {"error": [kind if hasattr(builtins, kind) else "RuntimeError", str(error)]}, []

    def _pack(self, value, blobs: list):
        return pack(value, blobs, self._refer, exact=True)

    def _refer(self, value) -> dict:
        if isinstance(value, Proxy):
            return {"object": value._number}
        if type(value) in RECORDS:
            return record_of(value)
        if isinstance(value, tuple(SHARED)):
            self._shared.append(value)
            return {"judge": len(self._shared) - 1}
        raise TypeError(
            f"a {type(value).__name__} cannot be handed to a student's function: arguments go by "
            "value, as numbers, texts, tensors, and lists and dictionaries of these."
        )

    def _resolve(self, reference: dict):
        if "judge" in reference:
            return self._shared[reference["judge"]]
        number, name = reference["object"], str(reference.get("class"))
        if type(number) is not int:
            raise Garbled("something that is not an object")
        base = Function if reference.get("callable") is True else Proxy
        name = name if name.isidentifier() and len(name) < 60 else "object"
        return type(name, (base,), {})(self, number)


class _Watched:
    def __init__(self, total: Observation):
        self._total = total

    def seen(self, result) -> Observation:
        """Return what was seen of the calls; only a tensor can be left on a device."""
        self._total.left_behind &= isinstance(result, torch.Tensor)
        return self._total


class _There:
    """Where a tensor that came by value is in the student's process."""

    def __init__(self, link: Link, number: int, place: int):
        self._link, self._number, self.place = link, number, place

    def read(self) -> torch.Tensor:
        """Return the values it has by now."""
        return self._link.read(self._number)
