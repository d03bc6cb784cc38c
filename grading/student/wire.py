"""Values between two processes that do not trust each other: JSON and raw tensors, never code.

A message is a JSON object and a list of byte strings. `pack` turns a value into what a message can
carry and `unpack` back; tensors travel as dtype, shape and bytes. Whatever else there is stays
where it is and travels as a reference.
"""

import json
import math
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch

MAX_DEPTH, MAX_ITEMS, MAX_TEXT = 16, 10_000, 200_000
MAX_JSON, MAX_BYTES = 4 << 20, 64 << 20
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool, torch.uint8),
        *(torch.int8, torch.int16, torch.int32, torch.int64, torch.complex64, torch.complex128),
    )
}
# As they are now: while a learner's calls are watched, torch's note where tensors come from.
_frombuffer, _from_numpy = torch.frombuffer, torch.from_numpy
_WRONG = (
    *(ValueError, KeyError, TypeError, IndexError),
    *(RuntimeError, OverflowError, AttributeError),
)
_NUMBERS = {
    kind.__name__: kind
    for kind in (
        *(np.float64, np.float32, np.float16, np.int64, np.int32, np.int16, np.int8),
        *(np.uint64, np.uint32, np.uint16, np.uint8, np.bool_),
    )
}


class Garbled(ValueError):
    """A message that is not one."""


class Channel:
    """One end of a stream socket that carries messages.

    Attributes:
        deadline: the time, by `time.monotonic`, when sending and receiving end at the latest, with
            a TimeoutError; however slowly the other end goes on.
    """

    def __init__(self, sock: socket.socket):
        self.sock, self.deadline = sock, math.inf

    def within(self, time_s: float) -> "Channel":
        """Return this channel, which from now on has so many seconds."""
        self.deadline = time.monotonic() + time_s
        return self

    def send(self, message: dict, blobs: Sequence = ()) -> None:
        """Send one message."""
        views = [memoryview(blob).cast("B") for blob in blobs]
        head = json.dumps(message | {"blobs": [view.nbytes for view in views]}).encode()
        parts: list[bytes | memoryview] = [struct.pack(">I", len(head)) + head, *views]
        for part in parts:
            self._wait_no_longer()
            self.sock.sendall(part)

    def receive(self) -> tuple[dict, list[bytearray]]:
        """Return the next message and its byte strings.

        Raises:
            Garbled: what came is not a message, or larger than is allowed.
            EOFError: the other end is closed.
        """
        (length,) = struct.unpack(">I", self._read(4))
        if length > MAX_JSON:
            raise Garbled(f"a message of {length} bytes; at most {MAX_JSON} are taken")
        try:
            message = json.loads(self._read(length))
            sizes = message.pop("blobs")
            sound = all(type(size) is int and size >= 0 for size in sizes)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Garbled(f"something that is not a message ({type(error).__name__})") from None
        if not sound or sum(sizes) > MAX_BYTES:
            raise Garbled(f"more than {MAX_BYTES >> 20} MiB of tensors in one message")
        return message, [self._read(size) for size in sizes]

    def _read(self, length: int) -> bytearray:
        data = bytearray(length)
        view, filled = memoryview(data), 0
        while filled < length:
            self._wait_no_longer()
            got = self.sock.recv_into(view[filled:], min(length - filled, 1 << 20))
            if not got:
                raise EOFError
            filled += got
        return data

    def _wait_no_longer(self) -> None:
        if self.deadline < math.inf:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.sock.settimeout(left)

    def close(self) -> None:
        """Close this end."""
        self.sock.close()


def pack(
    value: Any, blobs: list, refer: Callable | None = None, exact: bool = False, depth: int = 0
) -> Any:
    """Return what stands for a value in a message; bytes of tensors are added to `blobs`.

    Args:
        value: None, bool, int, float, str, a tensor, a dtype, a device, a slice, a number or an
            array of NumPy's, or lists, tuples and dictionaries of these.
        blobs: the message's byte strings.
        refer: returns what stands for anything else.
        exact: keep the strides of tensors, for code that depends on them.
        depth: lists around the value.

    Raises:
        TypeError: it is something else and there is no `refer`.
    """
    if depth > MAX_DEPTH:
        raise TypeError(f"lists nested more than {MAX_DEPTH} deep cannot be passed on")

    def inner(values):
        return [pack(one, blobs, refer, exact, depth + 1) for one in values]

    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if isinstance(value, torch.Tensor):
        return _pack_tensor(value, blobs, exact)
    if kind is slice:
        return {"slice": inner([value.start, value.stop, value.step])}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {"device": value.type}
    if (
        kind is list
        or kind is tuple
        or (isinstance(value, tuple) and kind.__len__ is tuple.__len__)
    ):
        return {"tuple" if isinstance(value, tuple) else "list": inner(value)}
    if isinstance(value, dict):
        return {"dict": [inner(pair) for pair in islice(value.items(), MAX_ITEMS)]}
    if kind.__name__ in _NUMBERS and kind is _NUMBERS[kind.__name__]:
        return {"number": value.item(), "kind": kind.__name__}
    if kind is np.ndarray and value.dtype.name in DTYPES:
        array = _from_numpy(np.ascontiguousarray(value).reshape(value.shape))
        return {"array": inner([array])}
    if refer is not None:
        return refer(value)
    raise TypeError(f"a {kind.__name__} cannot be passed on")


def _pack_tensor(tensor: torch.Tensor, blobs: list, exact: bool) -> dict:
    tensor = tensor.detach()
    packed = {"tensor": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape)}
    if tensor.device.type == "meta":
        return packed | {"meta": True}
    tensor = tensor.cpu()
    if exact and tensor.numel():
        packed["strides"] = list(tensor.stride())
        tensor = _spread(tensor)
    blobs.append(tensor.contiguous().view(-1).view(torch.uint8).numpy() if tensor.numel() else b"")
    return packed | {"blob": len(blobs) - 1}


def _spread(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's numbers as they are in memory, with 0 for what is not part of it."""
    sizes, strides = tensor.shape, tensor.stride()
    once = [1 if stride == 0 else size for size, stride in zip(sizes, strides, strict=True)]
    extent = 1 + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    spread = torch.zeros(extent, dtype=tensor.dtype)
    spread.as_strided(once, strides).copy_(tensor.as_strided(once, strides))
    return spread


def unpack(
    packed: Any,
    blobs: list[bytearray],
    resolve: Callable[[dict], object],
    exact: bool = False,
    depth: int = 0,
) -> Any:
    """Return the value that `pack` packed; nothing about it is taken for granted.

    Args:
        packed: what stands for the value.
        blobs: the message's byte strings; each is used once.
        resolve: returns what a reference stands for.
        exact: take the strides of tensors, from who is trusted: they make much of few bytes.
        depth: lists around the value.

    Raises:
        Garbled: it stands for nothing.
    """
    if depth > MAX_DEPTH:
        raise Garbled(f"nested more than {MAX_DEPTH} deep")
    if packed is None or type(packed) in (bool, int, float):
        return packed
    if type(packed) is str:
        if len(packed) > MAX_TEXT:
            raise Garbled(f"a text of {len(packed)} characters")
        return packed
    if type(packed) is not dict or not packed:
        raise Garbled("a value of unknown kind")

    def inner(values) -> list:
        if type(values) is not list or len(values) > MAX_ITEMS:
            raise Garbled(f"something other than a list of at most {MAX_ITEMS} items")
        return [unpack(one, blobs, resolve, exact, depth + 1) for one in values]

    try:
        if "tensor" in packed:
            return _unpack_tensor(packed, blobs, exact)
        return _unpack_object(packed, inner, resolve)
    except Garbled:
        raise
    except _WRONG as error:
        raise Garbled(f"something that is not a value ({type(error).__name__})") from None


def _unpack_object(
    packed: dict, inner: Callable[[object], list], resolve: Callable[[dict], object]
):
    """Return what a JSON object other than a tensor's stands for; `inner` unpacks a list."""
    for kind, made in (("list", list), ("tuple", tuple)):
        if kind in packed:
            return made(inner(packed[kind]))
    if "slice" in packed:
        return slice(*inner(packed["slice"]))
    if "dict" in packed:
        return dict(inner(pair) for pair in packed["dict"][:MAX_ITEMS])
    if "dtype" in packed:
        return DTYPES[packed["dtype"]]
    if "device" in packed:
        return torch.device(packed["device"])
    if "array" in packed:
        (tensor,) = inner(packed["array"])
        return np.asarray(tensor.numpy())
    if "number" in packed:
        number_of = _NUMBERS[packed["kind"]]
        if type(packed["number"]) in ((bool,) if number_of is np.bool_ else (int, float)):
            return number_of(packed["number"])
    return resolve(packed)


def _unpack_tensor(packed: dict, blobs: list[bytearray], exact: bool) -> torch.Tensor:
    dtype, shape = DTYPES[packed["tensor"]], packed["shape"]
    if len(shape) > MAX_DEPTH or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise Garbled(f"a tensor of shape {str(shape)[:80]}")
    if packed.get("meta"):
        return torch.empty(shape, dtype=dtype, device="meta")
    if not math.prod(shape):
        return torch.empty(shape, dtype=dtype)
    blob, blobs[packed["blob"]] = blobs[packed["blob"]], bytearray()
    strides = packed.get("strides") if exact else None
    if strides is None:
        elements = math.prod(shape)
    elif len(strides) == len(shape) and all(type(s) is int and 0 <= s < 2**40 for s in strides):
        elements = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    else:
        raise Garbled("strides that do not fit the shape")
    if elements * dtype.itemsize != len(blob):
        raise Garbled(f"a tensor of shape {tuple(shape)} in {len(blob)} bytes")
    if dtype is torch.bool:  # any byte may have come; only 0 and 1 are bools
        flat = _frombuffer(blob, dtype=torch.uint8) != 0
    else:
        flat = _frombuffer(blob, dtype=dtype)
    return flat.reshape(shape) if strides is None else flat.as_strided(shape, strides)


def tensors_in(value: Any, packed: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the tensors of a value, alone or in a short list, with what stands for each."""
    if isinstance(value, torch.Tensor) and type(packed) is dict and "blob" in packed:
        yield value, packed
    elif isinstance(value, tuple | list) and len(value) <= 8 and type(packed) is dict:
        for one, its in zip(value, next(iter(packed.values())), strict=False):
            if isinstance(one, torch.Tensor) and "blob" in its:
                yield one, its
