"""Answers the judge from inside the student's process: calls, attributes, items, by value.

Nothing here can be relied on once the student's code has run next to it, and nothing outside does:
whatever is answered is checked and compared there.
"""

import contextlib
import io
import linecache
import os
import traceback
from itertools import islice
from typing import Any

import torch

from gqa_lib.learn import watch
from gqa_lib.learn.watch import Watch
from gqa_lib.learn.watch.answers import library_answer

from .wire import MAX_ITEMS, Channel, pack, tensors_in, unpack

MAX_PRINTED = 4000


class JudgeObject:
    """An object that stays with the judge, such as a cache handed to the student's function."""

    def __init__(self, server: "Server", number: int):
        self.__dict__.update(_server=server, _number=number)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._server.of_judge(self._number, name)


class Server:
    """Answers requests about the names in `namespace` until it is told to rest."""

    def __init__(self, channel: Channel, namespace: dict):
        self.channel, self.namespace = channel, namespace
        self.objects: dict[int, Any] = {}
        self.tensors: dict[int, torch.Tensor] = {}

    def serve(self) -> None:
        """Answer until the judge says `rest`."""
        while True:
            request, blobs = self.channel.receive()
            if request.get("op") == "rest":
                self.tensors.clear()
                return
            self._answer(request, blobs)

    def of_judge(
        self, number: int, name: str, arguments: tuple | None = None, keywords: Any = None
    ) -> Any:
        """Return an attribute of an object of the judge's, or what calling it gives.

        Raises:
            Exception: what it raised there; RuntimeError where Python has no class of that name.
        """
        blobs: list = []
        asked: dict[str, Any] = {"judge": number, "name": name}
        if arguments is not None:
            asked["arguments"] = pack(list(arguments), blobs, self._refer)
            asked["keywords"] = pack(dict(keywords), blobs, self._refer)
        self.channel.send(asked, blobs)
        reply, blobs = self.channel.receive()
        if "error" in reply:
            kind, text = reply["error"]
            raise getattr(__import__("builtins"), kind, RuntimeError)(text)
        if "method" in reply:
            return lambda *given, **named: self.of_judge(number, name, given, named)
        return unpack(reply["value"], blobs, self._resolve, exact=True)

    def _answer(self, request: dict, blobs: list) -> None:
        printed, reply = _Printed(), {}
        sent: list = []
        try:
            with contextlib.redirect_stdout(printed):
                reply = self._do(request, blobs, sent)
        except BaseException as error:
            text = message_of(error) if isinstance(error, Exception) else type(error).__name__
            kinds = [kind.__name__ for kind in type(error).__mro__]
            reply, sent = {"error": [kinds[:20], text, _where(error)]}, []
        if text := printed.getvalue():
            reply["printed"] = text
        self.channel.send(reply, sent)

    def _do(self, request: dict, blobs: list, sent: list) -> dict:
        operation = request["op"]
        if operation == "get":
            value = self.namespace[request["name"]]
            return {"value": self._pack(value, sent), "answer": library_answer(value)}
        if operation == "read":
            return {"value": self._pack(self.tensors[request["tensor"]], sent)}
        target = self.objects[request["object"]]
        if operation == "call":
            return self._call(target, request, blobs, sent)
        if operation == "attribute":
            result = getattr(target, request["name"])
        elif operation == "item":
            result = target[unpack(request["key"], blobs, self._resolve, exact=True)]
        elif operation == "length":
            result = len(target)
        else:
            result = list(islice(target, MAX_ITEMS))
        return {"value": self._pack(result, sent)}

    def _call(self, target, request: dict, blobs: list, sent: list) -> dict:
        arguments = unpack(request["arguments"], blobs, self._resolve, exact=True)
        keywords = unpack(request["keywords"], blobs, self._resolve, exact=True)
        what = unpack(request["watch"], blobs, self._resolve, exact=True)
        back, spoil = what.pop("arguments", False), what.pop("spoil", False)
        before = _copies([arguments, keywords]) if back else None
        with Watch(given=arguments, **what) as watched:
            result = target(*arguments, **keywords)
        reply = {"value": self._pack(result, sent)}
        if what:
            reply["seen"] = vars(watched.seen(result))
        if back and not _same([arguments, keywords], before):
            reply["changed"] = pack([arguments, keywords], sent, self._refer)
        if spoil:
            _spoil(arguments)
        return reply

    def _pack(self, value, sent: list):
        packed = pack(value, sent, self._refer)
        for one, its in tensors_in(value, packed):
            number = len(self.tensors)
            self.tensors[number] = one
            its |= {"number": number, "place": one.untyped_storage().data_ptr()}
        return packed

    def _refer(self, value) -> dict:
        if isinstance(value, JudgeObject):
            return {"judge": value._number}
        number = id(value)
        self.objects[number] = value
        name = type(value).__name__ if not isinstance(value, type) else "type"
        return {"object": number, "class": name, "callable": callable(value)}

    def _resolve(self, reference: dict):
        if "object" in reference:
            return self.objects[reference["object"]]
        if "judge" in reference:
            return JudgeObject(self, reference["judge"])
        return _record(reference["record"], unpack(reference["fields"], [], self._resolve))


class _Printed(io.StringIO):
    def write(self, text: str) -> int:
        super().write(text[: max(0, MAX_PRINTED - self.tell())])
        return len(text)


def message_of(error: BaseException) -> str:
    """Return the message of a student's error, which may fail to give one."""
    try:
        return str(error)[:2000]
    except BaseException:
        return "(its message cannot be shown)"


def _record(name: str, fields: dict):
    """Return one of the library's plain records: a model's shape, its parts, or a machine."""
    from gqa_lib.configs import LayerKV, ModelConfig, Weights
    from gqa_lib.hardware import Hardware

    records = (ModelConfig, LayerKV, Weights, Hardware)
    return {record.__name__: record for record in records}[name](**fields)


def _spoil(arguments: list) -> None:
    """Fill the caller's tensors with NaN, which is the caller's right once the call is over."""
    for one in arguments:
        if isinstance(one, torch.Tensor) and one.is_floating_point() and one.device.type != "meta":
            one.fill_(torch.nan)


def _copies(value):
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, list | tuple):
        return [_copies(one) for one in value]
    if isinstance(value, dict):
        return {key: _copies(one) for key, one in value.items()}
    return value


def _same(now, then) -> bool:
    if isinstance(then, torch.Tensor):
        return (
            isinstance(now, torch.Tensor)
            and (now.dtype, now.shape, now.device) == (then.dtype, then.shape, then.device)
            and (now.device.type == "meta" or torch.allclose(now, then, 0, 0, equal_nan=True))
        )
    if isinstance(then, list):
        return len(now) == len(then) and all(map(_same, now, then))
    if isinstance(then, dict):
        return now.keys() == then.keys() and all(_same(now[key], then[key]) for key in then)
    return now is then or now == then


def _where(error: BaseException) -> str:
    """Return the student's own line that an error comes from, in words."""
    ours = (os.path.dirname(__file__), os.path.dirname(watch.__file__))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__, limit=-50)
        if not frame.filename.startswith(ours)
        and not {"torch", "triton"} & {*frame.filename.split(os.sep)}
    ]
    if not frames:
        return ""
    last = frames[-1]
    line = (last.line or linecache.getline(last.filename, last.lineno or 0)).strip()
    return f"in {last.name}, line {last.lineno}: {line}"[:300]
