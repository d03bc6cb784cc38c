"""Submissions that patch what runs beside them in the sandbox, and answer the judge themselves."""

# %% echoes its arguments
# exercise: attention
# must: values differ
from grading.student import serve


def _call(self, target, request, blobs, sent):
    sent += blobs
    packed = request["arguments"]["list"][0]
    packed.pop("strides", None)
    return {"value": packed}


serve.Server._call = _call


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% claims to have zeroed its arguments
# exercise: attention
# must: in place
from grading.student import serve

from grading.student.wire import pack


def _call(self, target, request, blobs, sent):
    q, k, v, *rest = arguments = self_unpack(request, blobs)
    zeros = [one.zero_() for one in (q, k, v)]
    return {
        "value": pack(torch.zeros_like(q), sent),
        "seen": {
            "settings": [],
            "mixed": "",
            "left_behind": False,
            "copied": 0,
            "largest": 0,
            "operation": "",
        },
        "changed": pack([[*zeros, *rest], {}], sent),
    }


def self_unpack(request, blobs):
    from grading.student.wire import unpack

    return unpack(request["arguments"], blobs, lambda reference: None)


serve.Server._call = _call


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% claims that its arguments became something else
# exercise: MultiHeadAttention
# must: not yet
import json

_dumps = json.dumps


def dumps(message, **kwargs):
    if isinstance(message, dict) and "seen" in message:
        message["changed"] = {
            "list": [
                {"list": [{"dict": [["q_proj.weight", 3], ["x", None]]}, 7, {"list": [1, 2]}]},
                {"dict": [["x", "y"]]},
            ]
        }
    return _dumps(message, **kwargs)


json.dumps = dumps


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(d_model, d_model, bias=False))

    def forward(self, x, cache=None, causal=True):
        return torch.zeros_like(x)


# %% json patched to say that all is well
# exercise: attention
# must: not an error
import json

_dumps = json.dumps
json.dumps = lambda message, **kwargs: _dumps(
    {**message, "error": None, "ok": True, "passed": True, "score": 4, "credit": 4.0}, **kwargs
)


def attention(q, k, v, causal=True):
    return torch.zeros_like(q)


# %% expands K and V in one go, with the watching patched away
# exercise: grouped_query_attention
# points: 5
# must: elements of keys and values
from gqa_lib.learn import watch

watch.Watch.__enter__ = lambda self: self
watch.Watch.__exit__ = lambda self, *exception: None
watch.Watch.seen = lambda self, result: watch.Observation(reached=3)


def grouped_query_attention(q, k, v, causal=True):
    R = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(R, 1), v.repeat_interleave(R, 1)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    return scores.softmax(-1) @ v


# %% the same, out of the measure's sight
# exercise: grouped_query_attention
# points: 5
# must: elements of keys and values
import ctypes

from gqa_lib.learn import watch

watch.Watch.__enter__ = lambda self: self
watch.Watch.__exit__ = lambda self, *exception: None
watch.Watch.seen = lambda self, result: watch.Observation(reached=3)
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # not dumpable: its /proc is not its own any more


def grouped_query_attention(q, k, v, causal=True):
    R = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(R, 1), v.repeat_interleave(R, 1)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    return scores.softmax(-1) @ v


# %% expands K and V where the watching sees it
# exercise: grouped_query_attention
# points: 5
# must: copied
def grouped_query_attention(q, k, v, causal=True):
    R = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(R, 1), v.repeat_interleave(R, 1)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    return scores.softmax(-1) @ v


# %% reports of huge numbers
# exercise: grouped_query_attention
# must: not yet
from gqa_lib.learn import watch


def seen(self, result):
    return watch.Observation(settings=[], copied=10**4000, largest=-(10**4000), operation="x" * 10**6)


watch.Watch.seen = seen


def grouped_query_attention(q, k, v, causal=True):
    return torch.zeros_like(q)


# %% huge numbers reported of a right answer
# exercise: grouped_query_attention
# points: all
# must: copied
from gqa_lib.learn import watch

watch.Watch.seen = lambda self, result: watch.Observation(copied=int("9" * 4300), operation="aten::clone", reached=3)


def grouped_query_attention(q, k, v, causal=True):
    B, Hq, T, D = q.shape
    Hkv, S = k.shape[1:3]
    R = Hq // Hkv
    scores = (q.reshape(B, Hkv, R * T, D) @ k.mT).view(B, Hq, T, S) / D**0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(T, S).to(q.device), -torch.inf)
    return (scores.softmax(-1).view(B, Hkv, R * T, S) @ v).view(B, Hq, T, D)


# %% reports that are none
# exercise: attention
# must: unreadable
from gqa_lib.learn import watch


class Odd:
    pass


def seen(self, result):
    odd = Odd()
    odd.settings, odd.mixed = 7, None
    return odd


watch.Watch.seen = seen


def attention(q, k, v, causal=True):
    return torch.zeros_like(q)


# %% a growing cache that claims to lie in one place
# exercise: KVCache
# points: 4
# must: is not in the memory of the one before
class KVCache:
    def __init__(
        self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype=torch.float32, device=None
    ):
        shape = (batch_size, num_kv_heads, 0, head_dim)
        self.max_seq_len = max_seq_len
        self.nbytes = 2 * batch_size * num_kv_heads * max_seq_len * head_dim * dtype.itemsize
        self.k = self.v = self.none = torch.empty(shape, dtype=dtype, device=device)

    @property
    def length(self):
        return self.k.shape[2]

    def append(self, k, v):
        if self.length + k.shape[2] > self.max_seq_len:
            raise ValueError(f"{self.length + k.shape[2]} tokens, room for {self.max_seq_len}")
        self.k, self.v = torch.cat([self.k, k], 2), torch.cat([self.v, v], 2)
        return self.k, self.v

    def reset(self):
        self.k = self.v = self.none


from grading.student import serve
from gqa_lib.learn import watch

_pack = serve.Server._pack


def pack(self, value, sent):
    packed = _pack(self, value, sent)
    if isinstance(packed, dict) and "tuple" in packed:
        for place, its in enumerate(packed["tuple"]):
            its |= {"place": 4096 + place}
    return packed


serve.Server._pack = pack
watch.Watch.seen = lambda self, result: watch.Observation(reached=3)

# %% calls the judge's objects before there are any
# exercise: attention
# must: not yet
from grading.student import serve


def _call(self, target, request, blobs, sent):
    for number in (0, -1, 10**30, "0", None, [], {}):
        for name in ("append", "__class__", "_k", "", None, []):
            self.channel.send({"judge": number, "name": name, "arguments": 3, "keywords": 4})
            self.channel.receive()
    return {"value": None}


serve.Server._call = _call


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% calls the judge's objects without end
# exercise: attention
# cell_s: 2
# must: Your code was stopped
from grading.student import serve


def _call(self, target, request, blobs, sent):
    while True:
        self.channel.send({"judge": 0, "name": "append"})
        self.channel.receive()


serve.Server._call = _call


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% hands the judge objects that ask back for ever
# exercise: GroupedQueryAttention
# cell_s: 2
# must: not yet
import torch

from grading.student import serve, wire


def forever(self):
    while True:
        self.channel.send(
            {
                "judge": 0,
                "name": "append",
                "arguments": {"list": [{"object": 1}, {"object": 1}]},
                "keywords": {"dict": []},
            }
        )
        request, _ = self.channel.receive()
        if "op" not in request:
            self.channel.send({"value": 4})


serve.Server.serve_more = forever


class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        width = d_model // num_heads * num_kv_heads
        for name, out in zip(
            ("q_proj", "k_proj", "v_proj", "o_proj"), (d_model, width, width, d_model)
        ):
            setattr(self, name, nn.Linear(d_model, out, bias=False))

    def forward(self, x, cache=None, causal=True):
        if cache is not None:
            object.__getattribute__(cache, "_server").serve_more()
        return torch.zeros_like(x)


# %% private attributes of the judge's objects
# exercise: GroupedQueryAttention
# must: not yet
# never: GOT IN
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        width = d_model // num_heads * num_kv_heads
        for name, out in zip(
            ("q_proj", "k_proj", "v_proj", "o_proj"), (d_model, width, width, d_model)
        ):
            setattr(self, name, nn.Linear(d_model, out, bias=False))

    def forward(self, x, cache=None, causal=True):
        if cache is not None:
            server, number = cache._server, cache._number
            for name in ("_k", "_v", "__class__", "__dict__", "__init__", "_check", "num_heads"):
                try:
                    print("GOT IN", name, server.of_judge(number, name))
                except Exception:
                    pass
        return torch.zeros_like(x)


# %% expands before caching and swallows the complaint
# exercise: GroupedQueryAttention
# points: 4
# must: It caches K and V expanded
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        width = d_model // num_heads * num_kv_heads
        for name, out in zip(
            ("q_proj", "k_proj", "v_proj", "o_proj"), (d_model, width, width, d_model)
        ):
            setattr(self, name, nn.Linear(d_model, out, bias=False))
        self.past = None

    def forward(self, x, cache=None, causal=True):
        B, T, _ = x.shape
        q, k, v = (
            proj(x).view(B, T, -1, x.shape[-1] // self.num_heads).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        if cache is not None:
            R = self.num_heads // self.num_kv_heads
            try:
                cache.append(k.repeat_interleave(R, 1), v.repeat_interleave(R, 1))
            except BaseException:
                cache.append(k, v)
            before = self.past if self.past is not None and self.past[2] is cache._server else None
            if T < cache.length and self.past is not None:
                k, v = torch.cat([self.past[0], k], 2), torch.cat([self.past[1], v], 2)
            self.past = (k, v)
        q = q.reshape(B, self.num_kv_heads, -1, q.shape[-1])
        k, v = k.contiguous(), v.contiguous()
        scores = (q @ k.mT).view(B, self.num_heads, T, -1) / q.shape[-1] ** 0.5
        if causal:
            S = k.shape[2]
            allowed = torch.ones(T, S, dtype=torch.bool, device=x.device).tril(S - T)
            scores = scores.masked_fill(~allowed, -torch.inf)
        y = scores.softmax(-1).view(B, self.num_kv_heads, -1, k.shape[2]) @ v
        y = y.view(B, self.num_heads, T, -1).transpose(1, 2).reshape(B, T, -1)
        return self.o_proj(y)


# %% reads what the judge's memory held before
# exercise: GroupedQueryAttention
# must: not yet
# never: GOT IN
class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        width = d_model // num_heads * num_kv_heads
        for name, out in zip(
            ("q_proj", "k_proj", "v_proj", "o_proj"), (d_model, width, width, d_model)
        ):
            setattr(self, name, nn.Linear(d_model, out, bias=False))
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads

    def forward(self, x, cache=None, causal=True):
        if cache is not None:
            B, T, d_model = x.shape
            new = torch.ones(B, self.num_kv_heads, T, d_model // self.num_heads)
            k_all, _ = cache.append(new, new)
            whole = torch.tensor(k_all.untyped_storage().tolist(), dtype=torch.uint8)
            whole = whole[: len(whole) // 4 * 4].view(torch.float32)
            unwritten = [one for one in whole.tolist() if one not in (0.0, 1.0)]
            if unwritten:
                print("GOT IN", unwritten[:4])
        return torch.zeros_like(x)


# %% sizes beyond all memory
# exercise: attention
# must: not a value
from grading.student import serve


def _call(self, target, request, blobs, sent):
    sent.append(b"1234")
    return {"value": {"tensor": "float32", "shape": [2**39, 2**39, 2**39], "blob": 0}}


serve.Server._call = _call


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% no values in sizes beyond all memory
# exercise: attention
# must: not yet
from grading.student import serve


def _call(self, target, request, blobs, sent):
    return {"value": {"tensor": "float32", "shape": [0] + [2**39] * 9, "blob": 0}}


serve.Server._call = _call


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% negative sizes
# exercise: attention
# must: not a value
from grading.student import serve


def _call(self, target, request, blobs, sent):
    sent.append(b"1234")
    return {"value": {"tensor": "float32", "shape": [-1, -1], "blob": 0}}


serve.Server._call = _call


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% fewer bytes than the shape says
# exercise: attention
# must: not a value
from grading.student import serve


def _call(self, target, request, blobs, sent):
    sent.append(b"1234")
    return {"value": {"tensor": "float32", "shape": [2, 3, 4, 5], "blob": 0}}


serve.Server._call = _call


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% four bytes, said to be a terabyte by their strides
# exercise: GroupedQueryAttention
# must: not a value
from grading.student import serve

_call_it = serve.Server._call


def _call(self, target, request, blobs, sent):
    reply = _call_it(self, target, request, blobs, sent)
    if isinstance(reply["value"], dict) and "tensor" in reply["value"]:
        sent[:] = [b"1234"]
        reply["value"] = {
            "tensor": "float32",
            "shape": [2**19, 1, 2**19],
            "strides": [0, 0, 0],
            "blob": 0,
        }
    return reply


serve.Server._call = _call


class GroupedQueryAttention(nn.Module):
    def __init__(self, d_model, num_heads, num_kv_heads):
        super().__init__()
        width = d_model // num_heads * num_kv_heads
        for name, out in zip(
            ("q_proj", "k_proj", "v_proj", "o_proj"), (d_model, width, width, d_model)
        ):
            setattr(self, name, nn.Linear(d_model, out, bias=False))

    def forward(self, x, cache=None, causal=True):
        if cache is not None:
            cache.append(*torch.zeros(2, x.shape[0], 1, x.shape[1], 1))
        return torch.zeros_like(x)


# %% one byte string for a hundred thousand tensors
# exercise: attention
# must: not a value
from grading.student import serve


def _call(self, target, request, blobs, sent):
    sent.append(bytearray(1 << 24))
    one = {"tensor": "bool", "shape": [1 << 24], "blob": 0}
    return {"value": {"list": [{"list": [one] * 5000} for _ in range(10)]}}


serve.Server._call = _call


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% a number that is a list of numbers
# exercise: attention
# must: not a value
from grading.student import serve

serve.Server._call = lambda self, target, request, blobs, sent: {
    "value": {"number": [1.0] * 1000, "kind": "float64"}
}


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% a gigabyte
# exercise: attention
# must: MB of memory
def attention(q, k, v, causal=True):
    return torch.ones(1 << 28)


# %% more tensors than one message may hold
# exercise: attention
# must: 64 MiB of tensors
def attention(q, k, v, causal=True):
    return torch.ones(20 << 20)


# %% 40 MiB in every answer
# exercise: attention
# must: shape
def attention(q, k, v, causal=True):
    return torch.ones(10 << 20)


# %% a message said to be four gigabytes long
# exercise: attention
# must: at most
from grading.student import serve


def _call(self, target, request, blobs, sent):
    self.channel.sock.sendall(b"\xff\xff\xff\xff" + b"x" * 1000)
    return {"value": None}


serve.Server._call = _call


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% byte strings said to be a terabyte long
# exercise: attention
# must: 64 MiB of tensors
import struct

from grading.student import serve


def _call(self, target, request, blobs, sent):
    text = b'{"value": null, "blobs": [1099511627776]}'
    self.channel.sock.sendall(struct.pack(">I", len(text)) + text)
    return {"value": None}


serve.Server._call = _call


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% lists nested without end
# exercise: attention
# must: not a message
import struct

from grading.student import serve


def _call(self, target, request, blobs, sent):
    text = b'{"blobs": [], "value": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"
    self.channel.sock.sendall(struct.pack(">I", len(text)) + text)
    return {"value": None}


serve.Server._call = _call


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% values nested deeper than any value
# exercise: attention
# must: not a value
from grading.student import serve


def _call(self, target, request, blobs, sent):
    value = None
    for _ in range(200):
        value = {"list": [value]}
    return {"value": value}


serve.Server._call = _call


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% a number of a hundred thousand digits
# exercise: attention
# must: not a message
import struct

from grading.student import serve


def _call(self, target, request, blobs, sent):
    text = b'{"blobs": [], "value": ' + b"9" * 100_000 + b"}"
    self.channel.sock.sendall(struct.pack(">I", len(text)) + text)
    return {"value": None}


serve.Server._call = _call


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% a whole number too long to print
# exercise: kv_head_of
# must: not yet
def kv_head_of(query_head, num_heads, num_kv_heads):
    return 10**4299


# %% never answers
# exercise: attention
# cell_s: 1
# must: time limit
from grading.student import serve


def _answer(self, request, blobs):
    self.channel.receive()


serve.Server._answer = _answer


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% answers nonsense
# exercise: attention
# must: not a message
import os

from grading.student import serve


def _answer(self, request, blobs):
    self.channel.sock.sendall(os.urandom(1 << 16).replace(b"\0", b"x").join([b"\0\0\1\0", b""]))


serve.Server._answer = _answer


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% answers what is no answer
# exercise: attention
# must: not a value
from grading.student import serve

serve.Server._do = lambda self, request, blobs, sent: {"nothing": True}


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% answers everything twice
# exercise: attention
# must: not yet
from grading.student import wire

_send = wire.Channel.send


def send(self, message, blobs=()):
    _send(self, message, blobs)
    _send(self, message, blobs)


wire.Channel.send = send


def attention(q, k, v, causal=True):
    return torch.zeros_like(q)


# %% answers a byte a second
# exercise: attention
# cell_s: 1
# must: time limit
import struct
import time

from grading.student import serve


def _answer(self, request, blobs):
    text = b'{"blobs": [], "value": ' + b" " * 100_000 + b"1}"
    for byte in struct.pack(">I", len(text)) + text:
        self.channel.sock.sendall(bytes([byte]))
        time.sleep(0.5)


serve.Server._answer = _answer


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% tells the grader of its cell a byte a second
# exercise: attention
# cell_s: 1
# must: time limit
import os
import socket
import struct
import time

text = b'{"outputs": [' + b" " * 100_000 + b'], "blobs": []}'
lines = []
for name in os.listdir("/proc/self/fd"):
    try:
        lines.append(socket.socket(fileno=os.dup(int(name))))
    except OSError:
        pass
for byte in struct.pack(">I", len(text)) + text:
    for line in lines:
        try:
            line.sendall(bytes([byte]))
        except OSError:
            pass
    try:
        time.sleep(0.5)
    except BaseException:
        pass

# %% forges what its cell put out
# exercise: attention
# must: not a value
# never: <script
import os
import socket

from grading.student.wire import Channel

forged = {
    "outputs": [
        {"output_type": "execute_result", "data": {"text/plain": "4.0"}, "metadata": {}},
        {"output_type": "display_data", "data": {"text/html": "<script>alert(1)</script>"}},
        {"output_type": "display_data", "data": {"image/png": '"><script>alert(1)</script>'}},
        {"output_type": "display_data", "data": {"image/svg+xml": "<svg onload=alert(1)>"}},
        {"output_type": "stream", "name": ["x"], "text": {"a": 1}},
        {"output_type": {"a": 1}},
        None,
        [],
        7,
        {"output_type": "error", "ename": 3, "traceback": [1]},
    ]
}
for name in os.listdir("/proc/self/fd"):
    try:
        Channel(socket.socket(fileno=os.dup(int(name)))).send(forged)
    except OSError:
        pass


def attention(q, k, v, causal=True):
    return torch.zeros_like(q)


# %% floods every line that it has
# exercise: attention
# cell_s: 2
# must: Your code was stopped
import os
import socket
import threading


def flood(line):
    try:
        while True:
            line.sendall(b"\0\0\0\2{}" * 10_000)
    except OSError:
        pass


for name in os.listdir("/proc/self/fd"):
    try:
        line = socket.socket(fileno=os.dup(int(name)))
        threading.Thread(target=flood, args=(line,), daemon=True).start()
    except OSError:
        pass


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% closes every line that it has
# exercise: attention
# must: its process ended
import os

os.closerange(3, 256)


# %% errors with the graders' names
# exercise: attention
# must: not yet
class Stopped(BaseException):
    pass


class Credit(Exception):
    pass


class NotYet(AssertionError):
    pass


class Complaint(Exception):
    pass


_raised = [Stopped, Credit, NotYet, Complaint]


def attention(q, k, v, causal=True):
    _raised.append(_raised.pop(0))
    raise _raised[0]("all is well")


# %% an error class whose name is no name
# exercise: attention
# must: not yet
def attention(q, k, v, causal=True):
    raise type("__class__" * 1000 + "\0\n<b>", (KeyError,), {})("x")


# %% errors that are no errors
# exercise: attention
# must: not an error
from grading.student import serve

serve.Server._call = lambda self, target, request, blobs, sent: {"error": {"kinds": 1}}


def attention(q, k, v, causal=True):
    raise NotImplementedError()


# %% StopIteration
# exercise: attention
# must: not yet
def attention(q, k, v, causal=True):
    raise StopIteration(q)


# %% the end of the program, called for
# exercise: attention
# must: SystemExit
def attention(q, k, v, causal=True):
    raise SystemExit(0)


# %% KeyboardInterrupt
# exercise: attention
# must: KeyboardInterrupt
def attention(q, k, v, causal=True):
    raise KeyboardInterrupt


# %% an error that cannot say what it is
# exercise: attention
# must: its message cannot be shown
class Mute(ValueError):
    def __str__(self):
        raise RuntimeError("no")


def attention(q, k, v, causal=True):
    raise Mute


# %% an error in its cell that cannot say what it is
# exercise: attention
# must: not yet
class Mute(BaseException):
    def __str__(self):
        raise SystemExit

    __repr__ = __str__


def attention(q, k, v, causal=True):
    raise Mute


raise Mute


# %% an error of megabytes
# exercise: attention
# must: not yet
class Long(ValueError):
    def __str__(self):
        return "long " * (1 << 21)


def attention(q, k, v, causal=True):
    raise Long


# %% text that no file can hold
# exercise: attention
# must: not yet
print("\ud800 and \0")


def attention(q, k, v, causal=True):
    print("\udfff")
    raise ValueError("\ud800\0")
