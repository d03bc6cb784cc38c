"""The likely mistakes in a paged cache, as caches, each with its sentence for the learner."""

from copy import copy

import torch


class _Supply:
    """Blocks with references, for the caches below; the last of a list is the next to go."""

    def __init__(self, num_blocks):
        self.references = [0] * num_blocks
        self._unused = list(range(num_blocks))

    @property
    def num_free(self):
        return len(self._unused)

    def allocate(self):
        block = self._unused.pop()
        self.references[block] = 1
        return block

    def share(self, block):
        self.references[block] += 1

    def free(self, block):
        if not self.references[block]:
            raise ValueError(f"block {block} is free already")
        self.references[block] -= 1
        if not self.references[block]:
            self._unused.append(block)


class Paged:
    """The lesson's caches in one, which the others change."""

    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k, self.v = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(2))
        self.allocator = _Supply(num_blocks)
        self.blocks, self.length = [], 0

    @property
    def size(self) -> int:
        """Tokens of a block."""
        return self.k.shape[2]

    def another(self) -> "Paged":
        """Return an empty sequence in the same memory."""
        new = copy(self)
        new.blocks, new.length = [], 0
        return new

    def fork(self) -> "Paged":
        """Return a sequence with the same tokens, in the same blocks."""
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        self._share(new)
        return new

    def _share(self, new):
        """Add the references of a fork."""
        for block in new.blocks:
            self.allocator.share(block)

    def _blocks_for(self, tokens):
        return -(-tokens // self.size)

    def append(self, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Take in new tokens and return all, or raise and change nothing.

        Args:
            k, v: of the new tokens, (1, Hkv, T, D).
        """
        T = k.shape[2]
        missing, copies = self._missing(T), self._copies()
        if missing + copies > self.allocator.num_free:
            raise ValueError(f"{missing + copies} needed, {self.allocator.num_free} free")
        if copies:
            self._copy_last()
        self.blocks = self.blocks + [self.allocator.allocate() for _ in range(missing)]
        for token in range(T):
            self._write(token, self.length + token, k, v)
        self.length += T
        return self._read(self.k), self._read(self.v)

    def _missing(self, T):
        """Return how many blocks T tokens need, without a copy."""
        return self._blocks_for(self.length + T) - len(self.blocks)

    def _copies(self):
        """Return whether the last block must be copied first."""
        return bool(self.length % self.size) and self._last_is_shared()

    def _last_is_shared(self):
        """Return whether another sequence has the last block as well."""
        return self.allocator.references[self.blocks[-1]] > 1

    def _copy_last(self):
        """Take another block for what is in the last one."""
        old, new = self.blocks[-1], self.allocator.allocate()
        self.k[new], self.v[new] = self.k[old], self.v[old]
        self.blocks = [*self.blocks[:-1], new]
        self.allocator.free(old)

    def _write(self, token, position, k, v):
        """Put a new token in its place."""
        block, slot = self.blocks[position // self.size], position % self.size
        self.k[block, :, slot], self.v[block, :, slot] = k[0, :, token], v[0, :, token]

    def _read(self, memory):
        """Return all tokens of a memory, in order."""
        return memory[self.blocks].transpose(0, 1).flatten(1, 2)[None, :, : self.length]

    def reset(self) -> None:
        """Forget all tokens."""
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0


class _WholeBlocks(Paged):
    def _read(self, memory):
        return memory[self.blocks].transpose(0, 1).flatten(1, 2)[None]


class _InMemoryOrder(Paged):
    def _read(self, memory):
        blocks = sorted(self.blocks)
        return memory[blocks].transpose(0, 1).flatten(1, 2)[None, :, : self.length]


class _FirstBlocks(Paged):
    """Its table is not asked: its tokens are taken to begin at block 0."""

    def _write(self, token, position, k, v):
        block, slot = position // self.size, position % self.size
        self.k[block, :, slot], self.v[block, :, slot] = k[0, :, token], v[0, :, token]

    def _read(self, memory):
        return memory.transpose(0, 1).flatten(1, 2)[None, :, : self.length]


class _SlotsMixed(Paged):
    """Heads and slots are flattened without being exchanged."""

    def _read(self, memory):
        rows = memory[self.blocks].flatten(0, 2).unflatten(0, (memory.shape[1], -1))
        return rows[None, :, : self.length]


class _OnlyNew(Paged):
    def append(self, k, v):
        super().append(k, v)
        return k, v


class _Swapped(Paged):
    def append(self, k, v):
        return super().append(k, v)[::-1]


class _KeysTwice(Paged):
    def append(self, k, v):
        return super().append(k, k)


class _BlocksPerAppend(Paged):
    def _missing(self, T):
        return self._blocks_for(T)


class _OneAhead(Paged):
    def _missing(self, T):
        return (self.length + T) // self.size + 1 - len(self.blocks)


class _ABlockPerToken(Paged):
    def _missing(self, T):
        return T


class _KeepsBlocks(Paged):
    def reset(self):
        self.length = 0


class _ForgetsBlocks(Paged):
    def reset(self):
        self.blocks, self.length = [], 0


class _KeepsLength(Paged):
    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks = []


WRONG_PAGES = (
    (
        "append returns whole blocks. Slots that hold no token yet would take part in the "
        "attention: cut off after `length` tokens.",
        _WholeBlocks,
    ),
    (
        "blocks are read in the order of their numbers. The table says in which order tokens are.",
        _InMemoryOrder,
    ),
    (
        "the table is not asked: position p is written to block p // block_size of the memory, "
        "which may be another sequence's. It is in block blocks[p // block_size].",
        _FirstBlocks,
    ),
    (
        "heads and slots are mixed up: exchange the axes of blocks and heads before you flatten "
        "blocks and slots.",
        _SlotsMixed,
    ),
    ("append returns only the new tokens: return all that are cached.", _OnlyNew),
    ("k and v are swapped in what append returns.", _Swapped),
    ("the keys come back as the values, too: v_all is k_all.", _KeysTwice),
    (
        "every append takes blocks for all of its tokens, although the last block has slots left. "
        "Take what is missing: blocks for all tokens minus those in the table.",
        _BlocksPerAppend,
    ),
    (
        "a block is taken before there is a token for it. When the last block is full, the next "
        "one comes with the next token.",
        _OneAhead,
    ),
    ("every token gets a block of its own: block_size of them share one.", _ABlockPerToken),
    ("reset keeps the blocks. Free them: other sequences wait for memory.", _KeepsBlocks),
    (
        "reset forgets the blocks without freeing them. Nobody can use them again: that is a leak.",
        _ForgetsBlocks,
    ),
    ("reset keeps the length: it must be 0 again.", _KeepsLength),
)
