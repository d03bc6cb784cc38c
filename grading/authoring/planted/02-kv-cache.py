"""Answers to the exercises of lesson 02, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong KVCache: returns the whole memory
# says: append returns the whole memory
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k, self.v

    def reset(self):
        self.length = 0

# %% wrong KVCache: the whole memory, uninitialised
# says: append returns the whole memory
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.empty(shape, dtype=dtype, device=device)
        self.v = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k, self.v

    def reset(self):
        self.length = 0

# %% wrong KVCache: returns only the new tokens
# says: append returns only the new tokens
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return k, v

    def reset(self):
        self.length = 0

# %% wrong KVCache: returns what was there before
# says: without the new tokens
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        start, self.length = self.length, end
        return self.k[:, :, :start], self.v[:, :, :start]

    def reset(self):
        self.length = 0

# %% wrong KVCache: returns the new slice
# says: append returns only the new tokens
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        start, self.length = self.length, end
        return self.k[:, :, start:end], self.v[:, :, start:end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: returns v, k
# says: k and v are swapped
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.v[:, :, :end], self.k[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: writes k into both
# says: the keys come back as the values
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = k
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: one memory under two names
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = self.k
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: writes from slot 0
# says: overwrites the oldest tokens
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, : k.shape[2]] = k
        self.v[:, :, : v.shape[2]] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: the length is advanced before the write
# says: advanced before the new tokens are written
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.length = end
        self.k[:, :, end : end + k.shape[2]] = k
        self.v[:, :, end : end + k.shape[2]] = v
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: a hole after the prompt
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        start = self.length + 1 if self.length else 0
        end = start + k.shape[2]
        self.k[:, :, start:end] = k
        self.v[:, :, start:end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: overwrites the last token
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        start = max(self.length - 1, 0)
        self.k[:, :, start : start + k.shape[2]] = k
        self.v[:, :, start : start + k.shape[2]] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: writes one token, whatever comes
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length] = k[:, :, 0]
        self.v[:, :, self.length] = v[:, :, 0]
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: the length counts calls
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length += 1
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: the length is not advanced
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: the length is a tensor
# says: a whole number (int) is expected
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = torch.tensor(0)

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: the length is max_seq_len
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.end = 0

    @property
    def length(self):
        return self.k.shape[2]

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.end + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.end : end] = k
        self.v[:, :, self.end : end] = v
        self.end = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.end = 0

# %% wrong KVCache: nbytes is a method
# says: nbytes is a method
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: the newest first
# says: the new tokens come first
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k, self.v = torch.zeros(2, *shape, dtype=dtype, device=device)
        self.length = 0
        self.nbytes = self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        T, room = k.shape[2], self.k.shape[2]
        if self.length + T > room:
            raise ValueError(f"{self.length + T} tokens do not fit into max_seq_len={room}")
        for memory, new in ((self.k, k), (self.v, v)):
            memory[:, :, T : T + self.length] = memory[:, :, : self.length].clone()
            memory[:, :, :T] = new
        self.length += T
        return self.k[:, :, : self.length], self.v[:, :, : self.length]

    def reset(self):
        self.length = 0

# %% wrong KVCache: old tokens are shifted out to the left
# says: the k_all of the append before
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k, self.v = torch.zeros(2, *shape, dtype=dtype, device=device)
        self.length = 0
        self.nbytes = self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        T, room = k.shape[2], self.k.shape[2]
        if self.length + T > room:
            raise ValueError(f"{self.length + T} tokens do not fit into max_seq_len={room}")
        for memory, new in ((self.k, k), (self.v, v)):
            memory[:, :, : room - T] = memory[:, :, T:].clone()
            memory[:, :, room - T :] = new
        self.length += T
        return self.k[:, :, room - self.length :], self.v[:, :, room - self.length :]

    def reset(self):
        self.length = 0

# %% wrong KVCache: no check for room
# says: Raise a ValueError that says both numbers
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: an assert checks for room
# says: Raise a ValueError that says both numbers
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        assert end <= room, f"{end} tokens, max_seq_len={room}"
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: an IndexError
# says: it stopped with IndexError
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise IndexError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: the error is returned
# says: return the pair
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            return ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: an error without numbers
# says: Its reader needs both numbers
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError("the cache is full")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: an error with one number
# says: Its reader needs both numbers
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"no room for {end} tokens")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: full one token early
# says: it stopped with ValueError
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end >= room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: full one token late
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room + 1:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: checks the new tokens only
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if k.shape[2] > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: clamps what does not fit
# says: and nothing was raised
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        end = min(end, room)
        k, v = k[:, :, : end - self.length], v[:, :, : end - self.length]
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: forgets the oldest when full
# says: and nothing was raised
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            self.length, end = 0, k.shape[2]
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: grows when full
# says: and nothing was raised
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            more = self.k.new_zeros(*self.k.shape[:2], end - room, self.k.shape[3])
            self.k, self.v = torch.cat([self.k, more], 2), torch.cat([self.v, more], 2)
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: advances before it refuses
# says: A refused append must leave the cache as it was
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        start, room = self.length, self.k.shape[2]
        self.length = end = start + k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, start:end] = k
        self.v[:, :, start:end] = v
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: writes what fits, then refuses
# says: A refused append must leave the cache as it was
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        fits = min(end, room) - self.length
        self.k[:, :, self.length : self.length + fits] = k[:, :, :fits]
        self.length += fits
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.length = end - k.shape[2]
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: is empty after it refused
# says: A refused append must leave the cache as it was
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            self.length = 0
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: reset does nothing
# says: reset does not forget
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        pass

# %% wrong KVCache: reset clears the memory, not the length
# says: reset does not forget
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.k.zero_()
        self.v.zero_()

# %% wrong KVCache: reset sets a local name
# says: reset does not forget
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        length = 0

# %% wrong KVCache: reset leaves the first token
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 1

# %% wrong KVCache: reset makes new memory of the default dtype
# says: the dtype is torch.float32
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.k, self.v = torch.zeros(self.k.shape), torch.zeros(self.v.shape)
        self.length = 0

# %% wrong KVCache: reset forgets the memory
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.k = self.v = None
        self.length = 0

# %% wrong KVCache: views from before the reset
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        self.shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.options = {"dtype": dtype, "device": device}
        self.views = {}
        self.reset()

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"the cache would hold {end} tokens, over max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        if end not in self.views:
            self.views[end] = self.k[:, :, :end], self.v[:, :, :end]
        return self.views[end]

    def reset(self):
        self.k, self.v = (torch.zeros(self.shape, **self.options) for _ in range(2))
        self.length = 0

# %% wrong KVCache: ignores the dtype
# says: the dtype is torch.float32
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, device=device)
        self.v = torch.zeros(shape, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: ignores the device
# says: not on the device it was asked for
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype)
        self.v = torch.zeros(shape, dtype=dtype)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: always float16
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=torch.float16, device=device)
        self.v = torch.zeros(shape, dtype=torch.float16, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: converts what it returns
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.dtype = dtype
        self.k = torch.zeros(shape, dtype=torch.float64, device=device)
        self.v = torch.zeros(shape, dtype=torch.float64, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end].to(self.dtype), self.v[:, :, :end].to(self.dtype)

    def reset(self):
        self.length = 0

# %% wrong KVCache: sets the default dtype
# says: which changes everything that runs after it
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        torch.set_default_dtype(dtype)
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, device=device)
        self.v = torch.zeros(shape, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: the memory belongs to the class
# says: two caches share what should be their own
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        KVCache.k = torch.zeros(shape, dtype=dtype, device=device)
        KVCache.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: the length belongs to the class
# says: two caches share what should be their own
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        KVCache.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        KVCache.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        KVCache.length = 0

# %% wrong KVCache: lists in the class body
class KVCache:
    keys, values = [], []

    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        self.room = max_seq_len
        self.nbytes = 2 * batch_size * num_kv_heads * max_seq_len * head_dim * dtype.itemsize

    @property
    def length(self):
        return sum(k.shape[2] for k in self.keys)

    def append(self, k, v):
        if self.length + k.shape[2] > self.room:
            raise ValueError(f"{self.length + k.shape[2]} tokens, max_seq_len={self.room}")
        self.keys.append(k)
        self.values.append(v)
        return torch.cat(self.keys, 2), torch.cat(self.values, 2)

    def reset(self):
        self.keys.clear()
        self.values.clear()

# %% wrong KVCache: memory kept per shape, outside
# says: two caches share
_memories = {}

class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        zeros = torch.zeros(2, *shape, dtype=dtype, device=device)
        self.k, self.v = _memories.setdefault((shape, dtype, str(device)), zeros)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: glues with torch.cat
# says: is not in the memory of the one before
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, 0, head_dim)
        self.room = max_seq_len
        self.nbytes = 2 * batch_size * num_kv_heads * max_seq_len * head_dim * dtype.itemsize
        self.k, self.v = torch.zeros(2, *shape, dtype=dtype, device=device)

    @property
    def length(self):
        return self.k.shape[2]

    def append(self, k, v):
        if self.length + k.shape[2] > self.room:
            raise ValueError(f"{self.length + k.shape[2]} tokens, max_seq_len={self.room}")
        self.k, self.v = torch.cat([self.k, k], 2), torch.cat([self.v, v], 2)
        return self.k, self.v

    def reset(self):
        self.k, self.v = self.k[:, :, :0], self.v[:, :, :0]

# %% wrong KVCache: glues, then writes all of it back
# says: it holds old tokens as well, copied
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"the cache would hold {end} tokens, over max_seq_len={room}")
        self.k[:, :, :end] = torch.cat((self.k[:, :, : self.length], k), dim=2)
        self.v[:, :, :end] = torch.cat((self.v[:, :, : self.length], v), dim=2)
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: returns copies
# says: is not in the memory of the one before
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end].clone(), self.v[:, :, :end].clone()

    def reset(self):
        self.length = 0

# %% wrong KVCache: returns contiguous copies
# says: is not in the memory of the one before
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end].contiguous(), self.v[:, :, :end].contiguous()

    def reset(self):
        self.length = 0

# %% wrong KVCache: only the values are copied
# says: The v_all for
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end].clone()

    def reset(self):
        self.length = 0

# %% wrong KVCache: new memory at each append
# says: is not in the memory of the one before
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k, self.v = self.k.clone(), self.v.clone()
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: nbytes counts K only
# says: only one of keys and values is counted
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: nbytes counts elements
# says: elements are counted, not bytes
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.numel() + self.v.numel()

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: nbytes counts the tokens held
# says: the tokens held are counted
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return 2 * self.k[:, :, : self.length].nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: nbytes takes 4 bytes an element
# says: counted as 4 bytes
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return (self.k.numel() + self.v.numel()) * 4

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: nbytes takes 2 bytes an element
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return (self.k.numel() + self.v.numel()) * 2

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: nbytes of one sequence
# says: one sequence is counted
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k[0].nbytes + self.v[0].nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: nbytes in KiB
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return (self.k.nbytes + self.v.nbytes) / 1024

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: nbytes is a float
# says: a whole number (int) is expected
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return float(self.k.nbytes + self.v.nbytes)

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: memory for twice the tokens
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, 2 * max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2] // 2
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: heads and tokens are the wrong way round
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, max_seq_len, num_kv_heads, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: one sequence only
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (1, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: zeroes the k it was given
# says: append changed the k or v it was given
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        k.zero_()
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: append returns nothing
# says: is a `return` missing?
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end

    def reset(self):
        self.length = 0

# %% wrong KVCache: append returns one stacked tensor
# says: return the pair
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return torch.stack([self.k[:, :, :end], self.v[:, :, :end]])

    def reset(self):
        self.length = 0

# %% wrong KVCache: right for this lesson's first shape only
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0
        assert batch_size == 2 or max_seq_len in (7, 8, 20)

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% wrong KVCache: keeps the tensors of an append that fills it
# says: keeps the caller's tensors
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0
    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes
    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into {room}")
        if self.length == 0 and end == room:
            self.k, self.v = k, v
        else:
            self.k[:, :, self.length : end] = k
            self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]
    def reset(self):
        self.length = 0

# %% wrong KVCache: allocates in the first append
# says: Allocate the memory once
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        self.shape, self.where = (batch_size, num_kv_heads, max_seq_len, head_dim), {"dtype": dtype, "device": device}
        self.k, self.length = None, 0

    @property
    def nbytes(self):
        count = 2
        for size in self.shape:
            count *= size
        return count * self.where["dtype"].itemsize

    def append(self, k, v):
        if self.k is None:
            self.k, self.v = torch.zeros(self.shape, **self.where), torch.zeros(self.shape, **self.where)
        end, room = self.length + k.shape[2], self.shape[2]
        if end > room:
            raise ValueError(f"the cache would hold {end} tokens, over max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% right KVCache: the memory is not cleared
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.empty(shape, dtype=dtype, device=device)
        self.v = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% right KVCache: reset clears the memory as well
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.k.zero_()
        self.v.zero_()
        self.length = 0

# %% right KVCache: reset makes new memory of the same kind
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.k, self.v = torch.zeros_like(self.k), torch.zeros_like(self.v)
        self.length = 0

# %% right KVCache: the error names the new tokens
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"cannot add {k.shape[2]}: max_seq_len is {room}.")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% right KVCache: narrow and copy_
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k.narrow(2, self.length, k.shape[2]).copy_(k)
        self.v.narrow(2, self.length, v.shape[2]).copy_(v)
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% right KVCache: index_copy_
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        slots = torch.arange(self.length, end, device=k.device)
        self.k.index_copy_(2, slots, k)
        self.v.index_copy_(2, slots, v)
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% right KVCache: token by token
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        for i in range(k.shape[2]):
            self.k[:, :, self.length + i] = k[:, :, i]
            self.v[:, :, self.length + i] = v[:, :, i]
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% right KVCache: nbytes by hand
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def nbytes(self):
        B, Hkv, room, D = self.k.shape
        return 2 * B * Hkv * room * D * self.k.element_size()

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% right KVCache: moved to the device afterwards
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.k = torch.zeros(shape, dtype=dtype).to(device)
        self.v = torch.zeros(shape, dtype=dtype).to(device)
        self.length = 0

    @property
    def nbytes(self):
        return self.k.nbytes + self.v.nbytes

    def append(self, k, v):
        end, room = self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} tokens do not fit into max_seq_len={room}")
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reset(self):
        self.length = 0

# %% right KVCache: one block for both, tokens before heads
class KVCache:
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        shape = (2, batch_size, max_seq_len, num_kv_heads, head_dim)
        self.memory = torch.empty(shape, dtype=dtype, device=device)
        self.nbytes = self.memory.nbytes
        self.max_seq_len, self.length = max_seq_len, 0

    def append(self, k, v):
        start, end = self.length, self.length + k.shape[2]
        if end > self.max_seq_len:
            raise ValueError(f"{start} + {k.shape[2]} > max_seq_len={self.max_seq_len}")
        self.memory[:, :, start:end] = torch.stack((k, v)).transpose(2, 3)
        self.length = end
        k_all, v_all = self.memory[:, :, :end].transpose(2, 3)
        return k_all, v_all

    def reset(self):
        self.length = 0

# %% right KVCache: a module with buffers
class KVCache(nn.Module):
    def __init__(self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype, device):
        super().__init__()
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self.register_buffer("k", torch.zeros(shape, dtype=dtype, device=device))
        self.register_buffer("v", torch.zeros(shape, dtype=dtype, device=device))
        self.max_seq_len = max_seq_len
        self.reset()

    @property
    def nbytes(self):
        return sum(b.numel() * b.element_size() for b in self.buffers())

    @torch.no_grad()
    def append(self, k, v):
        T = k.size(2)
        if self.max_seq_len - self.length < T:
            raise ValueError(
                f"max_seq_len={self.max_seq_len}, {self.length} tokens held, {T} more do not fit"
            )
        self.k[..., self.length : self.length + T, :] = k
        self.v[..., self.length : self.length + T, :] = v
        self.length += T
        return [self.k[..., : self.length, :], self.v[..., : self.length, :]]

    def reset(self):
        self.length = 0

# %% wrong KVCache: the library's
# says: the library's own answer
from gqa_lib.cache import KVCache

# %% wrong cached_attention: attends to the new tokens only
# says: each call sees only its own tokens
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v

# %% wrong cached_attention: does not append at all
# says: After 3 tokens the cache holds 0
def cached_attention(q, k, v, cache):
    k_all, v_all = k, v
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: appends twice
# says: After 3 tokens the cache holds 6
def cached_attention(q, k, v, cache):
    cache.append(k, v)
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: resets the cache first
# says: After 7 tokens the cache holds 4
def cached_attention(q, k, v, cache):
    cache.reset()
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: resets the cache afterwards
# says: After 3 tokens the cache holds 0
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    cache.reset()
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: appends the queries
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(q, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: appends v, k
# says: k and v are swapped
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(v, k)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: takes v_all, k_all
# says: k and v are swapped
def cached_attention(q, k, v, cache):
    v_all, k_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: mixes the keys
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ k_all

# %% wrong cached_attention: mask aligned to the top left
# says: the causal mask is aligned to the top left
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = torch.ones(q.shape[2], k_all.shape[2], dtype=torch.bool).tril().to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: SDPA with is_causal=True
# says: the causal mask is aligned to the top left
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    return torch.nn.functional.scaled_dot_product_attention(q, k_all, v_all, is_causal=True)

# %% wrong cached_attention: SDPA without a mask
# says: no mask is applied
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    return torch.nn.functional.scaled_dot_product_attention(q, k_all, v_all)

# %% wrong cached_attention: no mask
# says: no mask is applied
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.softmax(dim=-1) @ v_all

# %% wrong cached_attention: a mask only when the cache was empty
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return (scores.masked_fill(~mask, float("-inf")) if q.shape[2] == k_all.shape[2] else scores).softmax(dim=-1) @ v_all

# %% wrong cached_attention: a mask only when more than two tokens come
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return (scores.masked_fill(~mask, float("-inf")) if q.shape[2] > 2 else scores).softmax(dim=-1) @ v_all

# %% wrong cached_attention: the mask is turned round
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: masked scores are 0
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, 0.0).softmax(dim=-1) @ v_all

# %% wrong cached_attention: one key of the future
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).roll(1, -1).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: a float mask added
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return (scores + mask.to(q.dtype)).softmax(dim=-1) @ v_all

# %% wrong cached_attention: not scaled
# says: not divided by the square root of head_dim
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1)
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: scaled by head_dim
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 1
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: scaled by the number of heads
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: softmax over the queries
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-2) @ v_all

# %% wrong cached_attention: attends before it appends
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    if cache.length > q.shape[2]:
        k_all, v_all = k_all[:, :, : -q.shape[2]], v_all[:, :, : -q.shape[2]]
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: does not see itself
# says: a query cannot see its own token
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    if k_all.shape[2] > 1:
        mask = mask & ~torch.eye(k_all.shape[2], dtype=torch.bool, device=q.device)[-q.shape[2] :]
        mask[~mask.any(-1), 0] = True
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: returns the newest row only
# says: one row for each new query
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return (scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all)[:, :, -1:]

# %% wrong cached_attention: q is scaled in place
# says: changed its argument number 1
def cached_attention(q, k, v, cache):
    q /= q.shape[-1] ** 0.5
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1)
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: the mask stays on the CPU
# says: it would fail on a GPU
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2])
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: returns float32
# says: the dtype is torch.float32
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return (scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all).float()

# %% wrong cached_attention: hard-coded for one query
# says: no mask is applied
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2])[-1:].to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: keeps the first mask for ever
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = globals().setdefault("_mask", causal_mask(q.shape[2], k_all.shape[2])).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: reads the cache's whole memory
def cached_attention(q, k, v, cache):
    cache.append(k, v)
    k_all, v_all = cache._k, cache._v
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: makes its own cache
# says: After 3 tokens the cache holds 0
def cached_attention(q, k, v, cache):
    cache = type(cache)(*k.shape, k.dtype, k.device)
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=-1) @ v_all

# %% wrong cached_attention: SDPA with the mask
# says: does all of it in one call
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return torch.nn.functional.scaled_dot_product_attention(q, k_all, v_all, attn_mask=mask)

# %% right cached_attention: einsum, a float mask of -inf
def cached_attention(q, k, v, cache):
    keys, values = cache.append(k, v)
    scores = torch.einsum("bhtd,bhsd->bhts", q, keys) * q.shape[-1] ** -0.5
    T, S = scores.shape[-2:]
    hidden = torch.full((T, S), float("-inf"), dtype=q.dtype, device=q.device).triu(S - T + 1)
    return torch.einsum("bhts,bhsd->bhtd", (scores + hidden).softmax(-1), values)

# %% right cached_attention: one query at a time, no mask
def cached_attention(q, k, v, cache):
    rows = []
    for i in range(q.shape[2]):
        k_all, v_all = cache.append(k[:, :, i : i + 1], v[:, :, i : i + 1])
        weights = (q[:, :, i : i + 1] @ k_all.mT / q.shape[-1] ** 0.5).softmax(-1)
        rows.append(weights @ v_all)
    return torch.cat(rows, dim=2)

# %% right cached_attention: the mask by positions, from cache.length
def cached_attention(q, k, v, cache):
    start = cache.length
    k_all, v_all = cache.append(k, v)
    queries = torch.arange(start, cache.length, device=q.device)
    keys = torch.arange(cache.length, device=q.device)
    scores = (q * q.shape[-1] ** -0.5) @ k_all.transpose(2, 3)
    scores = torch.where(keys <= queries[:, None], scores, -torch.inf)
    return torch.softmax(scores, -1) @ v_all

# %% right cached_attention: softmax by hand in float64, back to q's dtype
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q.double() @ k_all.double().mT / q.shape[-1] ** 0.5
    scores = scores.masked_fill(~causal_mask(*scores.shape[-2:]).to(q.device), -1e300)
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    return (weights / weights.sum(-1, keepdim=True) @ v_all.double()).to(q.dtype)

# %% wrong cached_attention: the library's
# says: the library's own answer
def cached_attention(q, k, v, cache):
    from gqa_lib.attention import grouped_query_attention

    return grouped_query_attention(q, *cache.append(k, v))

# %% wrong cached_attention: hides with -100
# says: hidden scores are set to a finite number
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.mT / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.masked_fill(~mask, -100.0).softmax(-1) @ v_all

# %% wrong cached_attention: exponentials of the scores as they are
# says: exponentials of the scores are taken as they are
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.mT / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    weights = scores.masked_fill(~mask, float("-inf")).exp()
    return weights / weights.sum(-1, keepdim=True) @ v_all

# %% wrong cached_attention: masks after the softmax
# says: weights of hidden keys are set to 0 after the softmax
def cached_attention(q, k, v, cache):
    k_all, v_all = cache.append(k, v)
    scores = q @ k_all.mT / q.shape[-1] ** 0.5
    mask = causal_mask(q.shape[2], k_all.shape[2]).to(q.device)
    return scores.softmax(-1).masked_fill(~mask, 0.0) @ v_all

# %% wrong rotate: positions restart at 0
# says: the positions restart at 0
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = torch.arange(x.shape[-2], device=x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: positions less the first
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = (positions - positions[0]).to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: counts up from the first
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = torch.arange(x.shape[-2], device=x.device)[:, None] + positions[0] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: the first position for every token
# says: every token is turned by the first position
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions[:1].to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: positions counted from 1
# says: the positions are taken one too high
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = (positions.to(x.device)[:, None] + 1) * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: positions doubled by the offset
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = (positions + positions[0]).to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: neighbours are paired
# says: neighbours are paired
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float()[..., ::2], x.float()[..., 1::2]
    turned = torch.stack((first * cos - second * sin, second * cos + first * sin), -1).flatten(-2)
    return turned.to(x.dtype)

# %% wrong rotate: neighbours in, halves out
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float()[..., ::2], x.float()[..., 1::2]
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: turns the wrong way
# says: the pairs turn the wrong way
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos + second * sin, second * cos - first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: two plus signs
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos + second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: two minus signs
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos - first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: sine and cosine swapped
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    sin, cos = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: the halves come out swapped
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((second * cos + first * sin, first * cos - second * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: only the first half is turned
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: the second half meets the turned first
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    first = first * cos - second * sin
    second = second * cos + first * sin
    turned = torch.cat((first, second), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: exponent without the 2
# says: There are D/2 pairs
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: exponent twice too large
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-4 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: pairs counted from 1
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(1, D // 2 + 1, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: the exponent is positive
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: one speed for all
# says: every pair turns at the same speed
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-0 * pair)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: Llama 3's base
# says: the base is not 10000
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 500000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: base 1000
# says: the base is not 10000
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 1000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: angles in x's dtype
# says: the angles are computed in the dtype of x
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=x.dtype)
    angles = positions.to(x.device, x.dtype)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: positions in x's dtype
# says: the angles are computed in the dtype of x
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device, x.dtype)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: angles in degrees
# says: the angles are in degrees
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = torch.deg2rad(angles).cos(), torch.deg2rad(angles).sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: whole numbers only
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * (10000 ** (-2 * pair / D)).round()
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: returns float32
# says: the dtype is torch.float32
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned

# %% wrong rotate: returns float16 for bfloat16
# says: the dtype is torch.float16
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.half() if x.dtype == torch.bfloat16 else turned.to(x.dtype)

# %% wrong rotate: turns x in place
# says: changed its argument number 1
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions[:, None] * 10000 ** (-2 * pair / D)
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * angles.cos() - second * angles.sin(),
                        second * angles.cos() + first * angles.sin()), dim=-1)
    return x.copy_(turned)

# %% wrong rotate: changes the positions
# says: changed its argument number 2
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    positions += 0.5 * 2 if positions.is_floating_point() else 1
    angles = (positions - 1).to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: a table made on the CPU
# says: it would fail on a GPU
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, dtype=torch.float32)
    angles = positions[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: tokens and heads the wrong way round
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    x = x.movedim(-2, 0)
    cos, sin = (t.view(t.shape[0], *[1] * (x.dim() - 2), -1) for t in (cos, sin))
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: only for four axes
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    B, H, T, _ = x.shape
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: a table of the first call
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    speed = globals().setdefault("_speed", 10000 ** (-2 * pair / D))[: D // 2]
    angles = positions.to(x.device)[:, None] * speed
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: a table of 64 positions
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = torch.arange(64, device=x.device)[positions.to(x.device) % 64][:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: turns twice
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = 2 * positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return turned.to(x.dtype)

# %% wrong rotate: x itself
def rotate(x, positions):
    return x

# %% right rotate: complex numbers
def rotate(x, positions):
    D = x.shape[-1]
    speed = 10000.0 ** -(torch.arange(0, D, 2, device=x.device).double() / D)
    angles = positions.to(x.device).double()[:, None] * speed
    z = torch.complex(x[..., : D // 2].double(), x[..., D // 2 :].double())
    z = z * torch.polar(torch.ones_like(angles), angles)
    return torch.cat((z.real, z.imag), -1).to(x.dtype)

# %% right rotate: rotate_half, as Hugging Face writes it
def rotate(x, positions):
    D = x.shape[-1]
    inv_freq = 1.0 / (10000 ** (torch.arange(0, D, 2, device=x.device).float() / D))
    freqs = torch.outer(positions.to(x.device).float(), inv_freq)
    emb = torch.cat((freqs, freqs), dim=-1)
    cos, sin = emb.cos().to(x.dtype), emb.sin().to(x.dtype)
    half = torch.cat((-x[..., D // 2 :], x[..., : D // 2]), dim=-1)
    return x * cos + half * sin

# %% right rotate: cosine and sine in x's dtype, as Hugging Face has them
def rotate(x, positions):
    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device, dtype=torch.float32)
    angles = positions.to(x.device)[:, None] * 10000 ** (-2 * pair / D)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)

# %% right rotate: pair by pair
def rotate(x, positions):
    D = x.shape[-1]
    out = x.to(torch.float32, copy=True)
    for i in range(D // 2):
        angle = positions.to(x.device).float() * 10000.0 ** (-2 * i / D)
        a, b = x[..., i].float(), x[..., i + D // 2].float()
        out[..., i] = a * angle.cos() - b * angle.sin()
        out[..., i + D // 2] = a * angle.sin() + b * angle.cos()
    return out.to(x.dtype)

# %% right rotate: small matrices, speeds by exp and log
def rotate(x, positions):
    import math

    D = x.shape[-1]
    pair = torch.arange(D // 2, device=x.device).float()
    angles = positions.to(x.device)[:, None] * torch.exp(-math.log(10000) * 2 * pair / D)
    cos, sin = angles.cos(), angles.sin()
    turn = torch.stack((torch.stack((cos, -sin), -1), torch.stack((sin, cos), -1)), -2)
    pairs = torch.stack((x[..., : D // 2], x[..., D // 2 :]), -1).float()
    turned = torch.einsum("tpij,...tpj->...tpi", turn, pairs)
    return turned.transpose(-1, -2).flatten(-2).to(x.dtype)

# %% wrong rotate: the library's
# says: the library's own answer
def rotate(x, positions):
    from gqa_lib.attention.rope import rotate as library_rotate

    return library_rotate(x, positions)
