"""The likely mistakes in a KV cache, as caches, each with its sentence for the learner."""

import torch


class _Zeroed:
    """The lesson's cache, which the others change; memory that was never written holds zeros."""

    def __init__(
        self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype=torch.float32, device=None
    ):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self._k, self._v = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(2))
        self.length = 0

    @property
    def nbytes(self):
        return self._k.nbytes + self._v.nbytes

    def reset(self):
        self.length = 0

    def append(self, k, v):
        start, end, most = self.length, self.length + k.shape[2], self._k.shape[2]
        if end > most:
            raise ValueError(f"{end} tokens in a cache of {most}")
        self._k[:, :, start:end] = k
        self._v[:, :, start:end] = v
        self.length = end
        return self._k[:, :, :end], self._v[:, :, :end]


class _WholeBuffer(_Zeroed):
    def append(self, k, v):
        super().append(k, v)
        return self._k, self._v


class _OnlyNew(_Zeroed):
    def append(self, k, v):
        super().append(k, v)
        return k, v


class _OnlyOld(_Zeroed):
    def append(self, k, v):
        length = self.length
        super().append(k, v)
        return self._k[:, :, :length], self._v[:, :, :length]


class _Swapped(_Zeroed):
    def append(self, k, v):
        return super().append(k, v)[::-1]


class _KeysTwice(_Zeroed):
    def append(self, k, v):
        return super().append(k, k)


class _FromTheStart(_Zeroed):
    def append(self, k, v):
        length, self.length = self.length, 0
        super().append(k, v)
        self.length += length
        return self._k[:, :, : self.length], self._v[:, :, : self.length]


class _NewestFirst(_Zeroed):
    def append(self, k, v):
        held, T = self.length, k.shape[2]
        super().append(k, v)
        for memory, new in ((self._k, k), (self._v, v)):
            memory[:, :, T : T + held] = memory[:, :, :held].clone()
            memory[:, :, :T] = new
        return self._k[:, :, : held + T], self._v[:, :, : held + T]


class _NeverForgets(_Zeroed):
    def reset(self):
        pass


class _AdvancesFirst(_Zeroed):
    def append(self, k, v):
        self.length += k.shape[2]
        start, end = self.length, self.length + k.shape[2]
        self._k[:, :, start:end] = k
        self._v[:, :, start:end] = v
        return self._k[:, :, :start], self._v[:, :, :start]


class _OneMemory(_Zeroed):
    memory: tuple[torch.Tensor, ...] = ()

    def __init__(self, *sizes):
        super().__init__(*sizes)
        type(self).memory = self._k, self._v

    def append(self, k, v):
        self._k, self._v = self.memory
        return super().append(k, v)


class _OneLength(_Zeroed):
    shared = 0

    @property
    def length(self):
        return type(self).shared

    @length.setter
    def length(self, tokens):
        type(self).shared = tokens


_SHARED = (
    "two caches share what should be their own. A value set in the class body, or on the class, "
    "belongs to every cache: set it on self, in __init__."
)
WRONG_CACHES = (
    (
        "append returns the whole memory. Slots that hold no token yet would take part in the "
        "attention: return the first `length` tokens.",
        _WholeBuffer,
    ),
    ("append returns only the new tokens: return all that are cached.", _OnlyNew),
    ("append returns what was cached before, without the new tokens.", _OnlyOld),
    ("k and v are swapped in what append returns.", _Swapped),
    ("the keys come back as the values, too: v_all is k_all.", _KeysTwice),
    (
        "each append writes from slot 0 and overwrites the oldest tokens: write from `length` on.",
        _FromTheStart,
    ),
    ("the new tokens come first. They are the newest: put them last.", _NewestFirst),
    ("reset does not forget: the length must be 0 again.", _NeverForgets),
    (
        "the length is advanced before the new tokens are written, so that they land behind the "
        "place where they are looked for: write from the old length on.",
        _AdvancesFirst,
    ),
    (_SHARED, _OneMemory),
    (_SHARED, _OneLength),
)


class _KeysOnly(_Zeroed):
    nbytes = property(lambda self: self._k.nbytes)


class _Elements(_Zeroed):
    nbytes = property(lambda self: self._k.numel() + self._v.numel())


class _Used(_Zeroed):
    nbytes = property(lambda self: 2 * self._k[:, :, : self.length].nbytes)


class _FourBytes(_Zeroed):
    nbytes = property(lambda self: 4 * (self._k.numel() + self._v.numel()))


class _OneSequence(_Zeroed):
    nbytes = property(lambda self: 2 * self._k[0].nbytes)


WRONG_NBYTES = (
    ("only one of keys and values is counted. The other takes as much again.", _KeysOnly),
    ("elements are counted, not bytes: each takes dtype.itemsize bytes.", _Elements),
    (
        "the tokens held are counted. nbytes is what was allocated, held or not: the memory is "
        "taken all the same.",
        _Used,
    ),
    ("every element is counted as 4 bytes, whatever the dtype.", _FourBytes),
    ("one sequence is counted: there are batch_size of them.", _OneSequence),
)
