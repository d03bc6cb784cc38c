"""The likely mistakes in an allocator of blocks, as allocators, each with its sentence."""


class _Counted:
    """A right allocator, which the others change."""

    def __init__(self, num_blocks):
        self._counts = [0] * num_blocks
        self._free = list(range(num_blocks))

    @property
    def num_free(self):
        return len(self._free)

    def references(self, block):
        return self._counts[block]

    def allocate(self):
        if not self._free:
            raise ValueError(f"all {len(self._counts)} blocks are in use")
        block = self._free.pop()
        self._counts[block] = 1
        return block

    def share(self, block):
        self._check(block)
        self._counts[block] += 1

    def free(self, block):
        self._check(block)
        self._counts[block] -= 1
        if not self._counts[block]:
            self._free.append(block)

    def _check(self, block):
        if not 0 <= block < len(self._counts) or not self._counts[block]:
            raise ValueError(f"block {block} is not in use")


class _NeverBack(_Counted):
    def free(self, block):
        self._check(block)
        self._counts[block] -= 1


class _FreedAtOnce(_Counted):
    """The first free of a shared block makes it free."""

    def free(self, block):
        self._check(block)
        self._counts[block] = 0
        self._free.append(block)


class _ShareIsNothing(_Counted):
    def share(self, block):
        self._check(block)


class _ShareTakesABlock(_Counted):
    def share(self, block):
        super().share(block)
        if self._free:
            self._free.pop()


class _BeginsAtZero(_Counted):
    """A new block has no reference, so that it takes one free fewer."""

    def references(self, block):
        return self._counts[block] - 1


class _OneFewer(_Counted):
    """A block is kept back, as if counted from 1."""

    def __init__(self, num_blocks):
        super().__init__(num_blocks)
        self._free.pop()


class _CountsUses(_Counted):
    num_free = property(lambda self: len(self._counts) - len(self._free))


WRONG_ALLOCATORS = (
    ("free() gives nothing back: a block without a reference can be allocated again.", _NeverBack),
    (
        "the first free() of a shared block makes it free. Others still refer to it: it is free "
        "when its last reference goes.",
        _FreedAtOnce,
    ),
    (
        "share() adds no reference, so that the first free() takes the block from everyone.",
        _ShareIsNothing,
    ),
    ("share() takes a free block. It only adds a reference to one in use.", _ShareTakesABlock),
    (
        "a block that was just allocated has no reference. It has one: that of whoever asked.",
        _BeginsAtZero,
    ),
    ("one block is never handed out: they are 0 to num_blocks - 1, all of them.", _OneFewer),
    ("num_free counts the blocks in use: it should count those that are left.", _CountsUses),
)
