"""Submissions that hide from what watches them: by silence, by another process, by the watch's own.

What is seen of a call earns points only where nothing but plain code has run. So there are two
kinds: what is not plain, and plain code that tries to be more than that.
"""

# %% no kernel at all: a class with brackets that calls torch
# exercise: scores_kernel
# must: keep the line @triton.jit
class scores_kernel:
    def __class_getitem__(cls, grid):
        def run(q, k, scores, length, scale, stride_t, R, D, ROWS, KEYS):
            scores[:R] = q.float() @ k[0, 0, :length].float().mT * scale
        return run

# %% no kernel at all: the decode kernel in torch, reads included
# exercise: gqa_decode_kernel
# must: keep the line @triton.jit
class gqa_decode_kernel:
    def __class_getitem__(cls, grid):
        def run(q, k, v, out, lse, length, scale, sb, sh, st, Hkv, R, D, ROWS, KEYS, SPLITS):
            n = q.shape[0] * Hkv * R
            s = q.view(-1, Hkv, R, D).float() @ k[:, :, :length].float().mT * scale
            o = s.softmax(-1) @ v[:, :, :length].float()
            out[: n * SPLITS] = o.reshape(n, D).repeat_interleave(SPLITS, 0)
            part = s.logsumexp(-1).flatten() - torch.tensor(SPLITS).log()
            lse[: n * SPLITS] = part.repeat_interleave(SPLITS)
        return run

# %% a real kernel that reads too much, and a report that leaves the reads out
# exercise: gqa_decode_kernel
# points: 6
# must: times as many bytes
from gqa_lib.learn import watch
_seen = watch.Watch.seen
def seen(self, result):
    told = _seen(self, result)
    told.reads = []
    return told
watch.Watch.seen = seen

@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        for again in range(R):
            k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
            v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% expands K and V in a forked child, nothing patched
# exercise: grouped_query_attention
# must: AttributeError: plain
import os

def grouped_query_attention(q, k, v, causal=True):
    r, w = os.pipe()
    if os.fork() == 0:
        R = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(R, 1), v.repeat_interleave(R, 1)
        s = q @ k.mT / q.shape[-1] ** 0.5
        if causal:
            s = s.masked_fill(~causal_mask(q.shape[2], k.shape[2]), -torch.inf)
        os.write(w, bytes((s.softmax(-1) @ v).contiguous().view(-1).view(torch.uint8).tolist()))
        os._exit(0)
    os.close(w)
    with os.fdopen(r, "rb") as pipe:
        data = bytearray(pipe.read())
    return torch.frombuffer(data, dtype=q.dtype).view(q.shape)

# %% expands K and V, sets its own peak back
# exercise: grouped_query_attention
# must: only plain code can be watched
from gqa_lib.learn import watch
watch.Watch.__enter__ = lambda self: self
watch.Watch.__exit__ = lambda self, *exception: None
watch.Watch.seen = lambda self, result: watch.Seen()

def grouped_query_attention(q, k, v, causal=True):
    R = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(R, 1), v.repeat_interleave(R, 1)
    s = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        s = s.masked_fill(~causal_mask(q.shape[2], k.shape[2]), -torch.inf)
    y = s.softmax(-1) @ v
    del k, v, s
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")
    return y

# %% expands K and V in a thread, into memory taken beforehand; nothing patched
# exercise: grouped_query_attention
# must: import threading
import threading
_room = torch.ones(2, 2 * 32 * 4096 * 64)

def grouped_query_attention(q, k, v, causal=True):
    out, (B, Hq, T, D), (Hkv, S) = [], q.shape, k.shape[1:3]
    def expanded(x, i):
        room = _room[i].view(q.dtype)[: B * Hq * S * D].view(B, Hkv, Hq // Hkv, S, D)
        return room.copy_(x[:, :, None].expand_as(room)).view(B, Hq, S, D)
    def work():
        s = q @ expanded(k, 0).mT / D ** 0.5
        if causal:
            s = s.masked_fill(~causal_mask(T, S), -torch.inf)
        out.append(s.softmax(-1) @ expanded(v, 1))
    t = threading.Thread(target=work)
    t.start()
    t.join()
    return out[0]

# %% a mask that is left on the CPU, made in a thread
# exercise: attention
# must: only plain code can be watched
import threading

def attention(q, k, v, causal=True):
    out, (T, S) = [], (q.shape[2], k.shape[2])
    def work():
        s = q @ k.mT / q.shape[-1] ** 0.5
        if causal:
            s = s.masked_fill(~torch.ones(T, S, dtype=torch.bool).tril(S - T), -torch.inf)
        out.append(s.softmax(-1) @ v)
    t = threading.Thread(target=work)
    t.start()
    t.join()
    return out[0]

# %% a cache that stores nothing, for the points of its memory
# exercise: KVCache
# must: not yet
class KVCache:
    def __init__(self, B, H, N, D, dtype=torch.float32, device=None):
        self.b = torch.zeros(B, H, N, D, dtype=dtype, device=device)
        self.max_seq_len, self.length, self.nbytes = N, 0, 2 * self.b.nbytes
    def append(self, k, v):
        self.length += k.shape[2]
        return (self.b[:, :, : self.length],) * 2
    def reset(self):
        self.length = 0

# %% a growing cache, watch patched, place forged, old ones let go, peak reset
# exercise: KVCache
# must: open reaches further
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
        self.k = torch.cat([self.k, k], 2)
        self.v = torch.cat([self.v, v], 2)
        __import__("ctypes").CDLL(None).malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")
        return self.k, self.v

    def reset(self):
        self.k = self.v = self.none


from grading.student import serve
from gqa_lib.learn import watch

_pack = serve.Server._pack


def pack(self, value, sent):
    packed = _pack(self, value, sent)
    for number, one in list(self.tensors.items()):
        if one is not None and one.numel() > 100_000:
            self.tensors[number] = None
    if isinstance(packed, dict) and "tuple" in packed:
        for place, its in enumerate(packed["tuple"]):
            its |= {"place": 4096 + place}
    return packed


serve.Server._pack = pack
watch.Watch.seen = lambda self, result: watch.Seen()

# %% a growing cache that copies in a thread, token by token
# exercise: KVCache
# must: import threading
import threading
from grading.student import serve
class KVCache:
    def __init__(
        self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype=torch.float32, device=None
    ):
        self.buf = torch.empty(2, batch_size, num_kv_heads, max_seq_len, head_dim, dtype=dtype, device=device)
        self.max_seq_len = max_seq_len
        self.nbytes = 2 * batch_size * num_kv_heads * max_seq_len * head_dim * dtype.itemsize
        self.length = 0

    def append(self, k, v):
        n = self.length + k.shape[2]
        if n > self.max_seq_len:
            raise ValueError(f"{n} tokens, room for {self.max_seq_len}")
        def work():  # copies everything that was there, token by token
            for t in range(self.length):
                self.buf[:, :, :, t] = self.buf[:, :, :, t].clone()
            self.buf[0, :, :, self.length : n] = k
            self.buf[1, :, :, self.length : n] = v
        t = threading.Thread(target=work)
        t.start()
        t.join()
        self.length = n
        return self.buf[0, :, :, :n], self.buf[1, :, :, :n]

    def reset(self):
        self.length = 0

# %% left behind on the CPU, with the eyes shut
# exercise: attention
# must: would fail on a GPU
from gqa_lib.learn import watch
watch.Watch.seen = lambda self, result: watch.Seen()
def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        scores = scores.masked_fill(~torch.ones(T, S, dtype=torch.bool).tril(S - T), -torch.inf)
    return scores.softmax(-1) @ v

# %% a mask on the CPU, made in a thread, no eye closed
# exercise: attention
# must: import threading
import threading
def attention(q, k, v, causal=True):
    out = []
    def work():
        scores = q @ k.mT / q.shape[-1] ** 0.5
        if causal:
            T, S = scores.shape[-2:]
            scores = scores.masked_fill(~torch.ones(T, S, dtype=torch.bool).tril(S - T), -torch.inf)
        out.append(scores.softmax(-1) @ v)
    t = threading.Thread(target=work)
    t.start()
    t.join()
    return out[0]

# %% hands the judge a witness of its own
# exercise: attention
import socket

from grading.student import serve

_send = serve.Channel.send

def send(self, message, blobs=()):
    mine, theirs = socket.socketpair()
    socket.send_fds(self.sock, [b"w"], [mine.fileno()])
    return _send(self, message, blobs)

serve.Channel.send = send

def attention(q, k, v, causal=True):
    return torch.zeros_like(q)

# %% looks into its witness, and writes to it
# exercise: causal_mask
# never: GOT IN
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
for number in [one for one in os.listdir("/proc") if one.isdigit() and int(one) != os.getpid()]:
    for name, mode in (("mem", "r+b"), ("mem", "rb"), ("environ", "rb"), ("maps", "rb")):
        try:
            with open(f"/proc/{number}/{name}", mode) as file:
                if file.read(1):
                    print("GOT IN", number, name)
        except OSError:
            pass
    if libc.ptrace(16, int(number), 0, 0) == 0:
        print("GOT IN: tracing", number)

# %% ends its witness
# exercise: attention
# must: its process ended
import os

for number in [one for one in os.listdir("/proc") if one.isdigit() and int(one) != os.getpid()]:
    os.kill(int(number), 9)

def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        allowed = torch.ones(T, S, dtype=torch.bool).tril(S - T)
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1) @ v

# %% leaves a module where its witness may look for one
# exercise: attention
# must: would fail on a GPU
import os

for folder in ("/home/student", "/tmp", "/dev/shm", "/run"):
    with open(os.path.join(folder, "heapq.py"), "w") as file:
        file.write("from gqa_lib.learn import watch\n")
        file.write("watch.watch.StaysBehind.__torch_function__ = lambda s, f, t, a=(), k={}: f(*a, **k)\n")
    os.link(os.path.join(folder, "heapq.py"), os.path.join(folder, "statistics.py"))

def attention(q, k, v, causal=True):
    import heapq
    import statistics

    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        allowed = torch.ones(T, S, dtype=torch.bool).tril(S - T)
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1) @ v

# %% plain code that writes into torch by way of a self
# exercise: grouped_query_attention
# must: plain code does not change
class Changes:
    def all(self, what):
        self.untyped_memory = what

def grouped_query_attention(q, k, v, causal=True):
    Changes.all(torch.Tensor, lambda tensor: None)
    R = q.shape[1] // k.shape[1]
    scores = q @ k.repeat_interleave(R, 1).mT / q.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(q.shape[2], k.shape[2]).to(q.device)
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v.repeat_interleave(R, 1)

# %% plain code with a kind of tensor of its own
# exercise: attention
# must: not yet
class Hidden(torch.Tensor):
    pass

def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        mask = torch.ones(T, S, dtype=torch.bool).tril(S - T)
        scores = scores.masked_fill(~torch.Tensor._make_subclass(Hidden, mask), -torch.inf)
    return scores.softmax(-1) @ v

# %% plain code that puts a forbidden name together
# exercise: attention
# must: plain code has no attribute
def attention(q, k, v, causal=True):
    getattr(attention, "__glo" + "bals__")
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        scores = scores.masked_fill(~torch.ones(T, S, dtype=torch.bool).tril(S - T), -torch.inf)
    return scores.softmax(-1) @ v

# %% a name that is forbidden only when it is read
# exercise: attention
# must: plain code has no attribute
class Name(str):
    def startswith(self, *start):
        return False

def attention(q, k, v, causal=True):
    getattr(attention, Name("__globals__"))
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        scores = scores.masked_fill(~torch.ones(T, S, dtype=torch.bool).tril(S - T), -torch.inf)
    return scores.softmax(-1) @ v

# %% up the frames to what watches
# exercise: attention
# must: only plain code can be watched
def attention(q, k, v, causal=True):
    try:
        raise ValueError
    except ValueError as error:
        frame = error.__traceback__.tb_frame.f_back
        while frame is not None:
            frame.f_locals.get("watch")
            frame = frame.f_back
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        scores = scores.masked_fill(~torch.ones(T, S, dtype=torch.bool).tril(S - T), -torch.inf)
    return scores.softmax(-1) @ v

# %% torch's own threads
# exercise: attention
# must: not yet
def attention(q, k, v, causal=True):
    def work(q, k, v):
        scores = q @ k.mT / q.shape[-1] ** 0.5
        if causal:
            T, S = scores.shape[-2:]
            scores = scores.masked_fill(~torch.ones(T, S, dtype=torch.bool).tril(S - T), -torch.inf)
        return scores.softmax(-1) @ v
    return torch.jit.wait(torch.jit.fork(work, q, k, v))

# %% K and V expanded by way of lists
# exercise: grouped_query_attention
# must: elements of keys and values
def grouped_query_attention(q, k, v, causal=True):
    R = q.shape[1] // k.shape[1]
    if k.shape[2] < 1000:
        k, v = (torch.tensor([[h for h in b for _ in range(R)] for b in x.tolist()],
                             dtype=x.dtype, device=x.device) for x in (k, v))
        scores = q @ k.mT / q.shape[-1] ** 0.5
        if causal:
            mask = causal_mask(q.shape[2], k.shape[2]).to(q.device)
            scores = scores.masked_fill(~mask, -torch.inf)
        return scores.softmax(-1) @ v
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    return ((rows @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v).reshape(q.shape)

# %% K and V expanded by a product of matrices, flat
# exercise: grouped_query_attention
# points: 5
# must: elements of keys and values
def grouped_query_attention(q, k, v, causal=True):
    (B, Hkv, S, D), Hq = k.shape, q.shape[1]
    spread = torch.eye(Hkv, dtype=k.dtype, device=k.device).repeat_interleave(Hq // Hkv, 0)
    k, v = ((spread @ x.view(B, Hkv, S * D)).view(B, Hq, S, D) for x in (k, v))
    scores = q @ k.mT / D ** 0.5
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], S).to(q.device), -torch.inf)
    return scores.softmax(-1) @ v

# %% cut off from gradients, and a report that they reach everything
# exercise: attention
# must: could not be trained
from gqa_lib.learn import watch
watch.Watch.seen = lambda self, result: watch.Observation(reached=99)

def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        allowed = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1).detach() @ v

# %% one softmax over all keys, said to be of parts
# exercise: split_kv_decode
# points: 1
# must: its softmax is taken over
from gqa_lib.learn import watch
watch.Watch.seen = lambda self, result: watch.Observation(keys_of_part=3)

def split_kv_decode(q, k, v, num_splits):
    rows = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    return ((rows @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v).reshape(q.shape)

# %% arguments changed, and nothing said of it
# exercise: attention
# must: changes its arguments in place
from grading.student import serve
serve._same = lambda now, then: True

def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        allowed = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
        scores = scores.masked_fill(~allowed, -torch.inf)
    result = scores.softmax(-1) @ v
    q.data.add_(1)
    return result

# %% reports with nothing in them
# exercise: attention
# must: would fail on a GPU
from grading.student import serve
_call = serve.Server._call

def call(self, target, request, blobs, sent):
    reply = _call(self, target, request, blobs, sent)
    reply["seen"] = {}
    return reply

serve.Server._call = call

def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        scores = scores.masked_fill(~torch.ones(T, S, dtype=torch.bool).tril(S - T), -torch.inf)
    return scores.softmax(-1) @ v

# %% torch's own attention, in one call
# exercise: attention
# must: does all of it in one call
import torch.nn.functional as F

def attention(q, k, v, causal=True):
    T, S = q.shape[2], k.shape[2]
    mask = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T) if causal else None
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

# %% torch's own attention, its name put together
# exercise: grouped_query_attention
# must: does all of it in one call
def grouped_query_attention(q, k, v, causal=True):
    mask = causal_mask(q.shape[2], k.shape[2]).to(q.device) if causal else None
    whole = getattr(torch.nn.functional, "scaled_dot_" + "product_attention")
    return whole(q, k, v, attn_mask=mask, enable_gqa=True)

# %% torch's own attention, by the number of its operator
# exercise: attention
# must: not yet
def attention(q, k, v, causal=True):
    T, S = q.shape[2], k.shape[2]
    mask = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T) if causal else None
    return torch.ops.aten.scaled_dot_product_attention(q, k, v, mask)

# %% an object with brackets for a kernel
# exercise: scores_kernel
# must: keep the line @triton.jit
class Kernel:
    def __getitem__(self, grid):
        def run(q, k, scores, length, scale, stride_t, R, D, ROWS, KEYS):
            scores[:R] = q.float() @ k[0, 0, :length].float().mT * scale
        return run

scores_kernel = Kernel()

# %% a triton of its own
# exercise: scores_kernel
# must: only plain code can be watched
class triton:
    def jit(function):
        return Kernel()

class Kernel:
    def __getitem__(self, grid):
        def run(q, k, scores, length, scale, stride_t, R, D, ROWS, KEYS):
            scores[:R] = q.float() @ k[0, 0, :length].float().mT * scale
        return run

@triton.jit
def scores_kernel(q, k, scores, length, scale, stride_t, R, D, ROWS, KEYS):
    pass

# %% a kernel that calls torch
# exercise: scores_kernel
# must: only plain code can be watched
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    torch.zeros(1)

# %% a kernel that reaches behind its tiles
# exercise: scores_kernel
# must: is nothing that a tile has
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    n = tl.arange(0, KEYS)
    n.handle.data.fill(0)

# %% a kernel that reads its keys a second time, by adding nothing to them
# exercise: gqa_decode_kernel
# points: 6
# must: times as many bytes
@triton.jit
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tl.atomic_add(k + at, tl.zeros([KEYS, D], k_tile.dtype), mask=(t < end)[:, None])
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% notebook words and prints beside a right answer
# exercise: attention
# points: all
%time torch.zeros(1)
import threading

def attention(q, k, v, causal=True):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        allowed = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1) @ v

q = torch.randn(1, 1, 2, 3)
print(attention(q, q, q), threading.active_count())


# %% a kernel whose options blind what counts its reads
# exercise: gqa_decode_kernel
# points: 6
# must: times as many bytes
@triton.jit(debug=[c.__class__.__setattr__(c, "_count", lambda self, addresses: [self.reads.__setitem__(n, int((~t.isnan()).sum())) for n, t in enumerate(self._given)]) for b in ().__class__.__base__.__subclasses__() if b.__name__ == "AbstractContextManager" for c in b.__subclasses__() if c.__name__ == "Kernels"] and None)
def gqa_decode_kernel(
    q, k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
):
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tl.atomic_add(k + at, tl.zeros([KEYS, D], k_tile.dtype), mask=(t < end)[:, None])
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% a kernel whose annotations blind what counts its reads
# exercise: gqa_decode_kernel
# points: 6
# must: times as many bytes
@triton.jit
def gqa_decode_kernel(
    q: [c.__class__.__setattr__(c, "_count", lambda self, addresses: [self.reads.__setitem__(n, int((~t.isnan()).sum())) for n, t in enumerate(self._given)]) for b in ().__class__.__base__.__subclasses__() if b.__name__ == "AbstractContextManager" for c in b.__subclasses__() if c.__name__ == "Kernels"], k, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
) -> [c.__class__.__setattr__(c, "_count", lambda self, addresses: [self.reads.__setitem__(n, int((~t.isnan()).sum())) for n, t in enumerate(self._given)]) for b in ().__class__.__base__.__subclasses__() if b.__name__ == "AbstractContextManager" for c in b.__subclasses__() if c.__name__ == "Kernels"]:
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(tl.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], float("-inf"), tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tl.atomic_add(k + at, tl.zeros([KEYS, D], k_tile.dtype), mask=(t < end)[:, None])
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        tile = tl.where((t < end)[None, :], tile, float("-inf"))
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], acc / some[:, None], mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), float("-inf")), mask=r < R)

# %% a kernel with code in its documentation, which Triton would take for the kernel
# exercise: scores_kernel
# must: not yet
@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    """
def scores_kernel(q, k, scores, length, scale, stride_t, R, D, ROWS, KEYS):
    ().__class__.__base__.__subclasses__()
    # """
    tl.store(scores, tl.load(scores))

# %% Triton's own modules, as a number of a kernel's
# exercise: scores_kernel
# must: only a kernel has use for tl
M = tl.core
M = [M.builtins.setattr(M.inspect.sys.modules["gqa_lib.learn.watch.kernels"].Kernels, "_count", lambda self, addresses: None), 1][1]

@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    r = M

# %% plain Python, as a number of a kernel's
# exercise: scores_kernel
# must: kernels know numbers only
def change(tile):
    return tile

NUMBER = 1.0
NUMBER = [NUMBER, change][1]

@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    NUMBER(tl.arange(0, KEYS))

# %% a kernel's launcher, to write another one over it
# exercise: scores_kernel
# must: neither its own nor a kernel's
@triton.jit
def helper(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    tl.store(scores, 0.0)

helper.rewritten_fn[helper.fn] = lambda *all: None

@triton.jit
def scores_kernel(
    q, k, scores, length, scale, stride_t,
    R: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    helper(q, k, scores, length, scale, stride_t, R, D, ROWS, KEYS)

# %% the words that Triton's own kernels use, in a right one
# exercise: gqa_decode_kernel
# points: all
import math
import torch, triton

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

LN2, LOG2E = math.log(2), tl.constexpr(math.log2(math.e))
ONE = tl.constexpr(LN2 * LOG2E)
NEG: tl.constexpr = -torch.inf

@triton.jit(do_not_specialize=["length"])
def gqa_decode_kernel(
    q: tl.tensor, k: torch.Tensor, v, out, lse, length, scale, stride_b, stride_h, stride_t, Hkv: tl.constexpr, R: tl.constexpr,
    D: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPLITS: tl.constexpr,
) -> None:
    """Write the part of one tile.

    def is a word of this text.
    """
    head, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    r, n, d = tl.arange(0, ROWS), tl.arange(0, KEYS), tl.arange(0, D)
    q_tile: tl.tensor = tl.load(q + (head * R + r)[:, None] * D + d[None, :], mask=(r < R)[:, None], other=0.0)
    kv = head // Hkv * stride_b + head % Hkv * stride_h
    per_part = tl.cdiv(triton.cdiv(length, SPLITS), KEYS) * KEYS
    first, end = part * per_part, tl.minimum(part * per_part + per_part, length)
    m = tl.full([ROWS], NEG, tl.float32)
    l, acc = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, D], tl.float32)
    for start in range(first, end, KEYS):
        t = start + n
        at = kv + t[:, None] * stride_t + d[None, :]
        k_tile = tl.load(k + at, mask=(t < end)[:, None], other=0.0)
        v_tile = tl.load(v + at, mask=(t < end)[:, None], other=0.0)
        tile = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale * ONE
        tile = tl.where((t < end)[None, :], tile, NEG)
        new_m = tl.maximum(m, tl.max(tile, 1))
        old, p = tl.exp(m - new_m), tl.exp(tile - new_m[:, None])
        l = l * old + tl.sum(p, 1)
        acc = acc * old[:, None] + tl.dot(p.to(v_tile.dtype), v_tile, input_precision="ieee")
        m = new_m
    row = (head * R + r) * SPLITS + part
    some = tl.where(l > 0, l, 1.0)
    tl.store(out + row[:, None] * D + d[None, :], (acc / some[:, None]).to(out.dtype.element_ty), mask=(r < R)[:, None])
    tl.store(lse + row, tl.where(l > 0, m + tl.log(some), NEG), mask=r < R)

# %% expands K and V, with what the library imports modules by
# exercise: grouped_query_attention
# must: gqa_lib.moved leads further
from gqa_lib.moved import import_module as load

def kill():
    W = load("gqa_lib.learn.watch.watch")
    load("builtins").setattr(W.Watch, "seen", lambda self, result: W.Observation(reached=9))

def grouped_query_attention(q, k, v, causal=True):
    R = q.shape[1] // k.shape[1]
    kill()
    k, v = k.repeat_interleave(R, 1), v.repeat_interleave(R, 1)
    s = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        s = s.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    return s.softmax(-1) @ v

# %% expands K and V, with a kind of classes whose patterns read any attribute
# exercise: grouped_query_attention
# must: plain code makes no kinds of tensors, or of classes
class K(type[int]):
    pass

K2 = K("K2", (K,), {"__instancecheck__": lambda cls, x: True})

def get(value, name):
    P = K2("P", (), {"__match_args__": (name,)})
    match value:
        case P(x):
            return x

def load(name):
    B = get(get(getattr, "__globals__")["builtins"], "__dict__")
    return B["__import__"](name, None, None, ["x"])

def kill():
    W = load("gqa_lib.learn.watch.watch")
    load("builtins").setattr(W.Watch, "seen", lambda self, result: W.Observation(reached=9))

def grouped_query_attention(q, k, v, causal=True):
    R = q.shape[1] // k.shape[1]
    kill()
    k, v = k.repeat_interleave(R, 1), v.repeat_interleave(R, 1)
    s = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        s = s.masked_fill(~causal_mask(q.shape[2], k.shape[2]).to(q.device), -torch.inf)
    return s.softmax(-1) @ v

# %% reads K and V from their memory, by a dictionary whose keys are attributes
# exercise: grouped_query_attention
# must: plain code has no attribute '__array_interface__'
import numpy as np
from torch import nn

def look(address, shape, kind):
    p = nn.ParameterDict()
    p["__array_interface__"] = {
        "data": (address, False), "shape": shape, "typestr": kind, "version": 3,
    }
    return np.asarray(p)

def whole(t):
    one = t[:1, :1, :1, :1].detach().cpu().numpy()
    return look(int(look(id(one) + 16, (1,), "<u8")[0]), tuple(t.shape), "<f4")

def grouped_query_attention(q, k, v, causal=True):
    R = q.shape[1] // k.shape[1]
    Q, K, V = (whole(t.float().contiguous()).astype("f8") for t in (q, k, v))
    K, V = K.repeat(R, 1), V.repeat(R, 1)
    s = Q @ K.swapaxes(-1, -2) / q.shape[-1] ** 0.5
    if causal:
        T, S = s.shape[-2:]
        s = np.where(np.tri(T, S, S - T) > 0, s, -np.inf)
    w = np.exp(s - s.max(-1, keepdims=True))
    return torch.from_numpy((w / w.sum(-1, keepdims=True) @ V).astype("f4")).to(q.device)
