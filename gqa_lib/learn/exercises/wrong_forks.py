"""The likely mistakes in sharing blocks, as caches, each with its sentence for the learner."""

from .wrong_pages import Paged


class _WritesShared(Paged):
    def _copies(self):
        return False


class _CopiesAlways(Paged):
    """It copies a block that it has alone, or one that is full, too."""

    def _copies(self):
        return bool(self.length % self.size)


class _CopiesFull(Paged):
    def _copies(self):
        return bool(self.blocks) and self._last_is_shared()


class _CopiesNothing(Paged):
    def _copy_last(self):
        old, new = self.blocks[-1], self.allocator.allocate()
        self.blocks = [*self.blocks[:-1], new]
        self.allocator.free(old)


class _KeysOnly(Paged):
    def _copy_last(self):
        old = self.blocks[-1]
        super()._copy_last()
        self.v[self.blocks[-1]] = 0 * self.v[old]


class _KeepsReference(Paged):
    def _copy_last(self):
        self.allocator.share(self.blocks[-1])
        super()._copy_last()


class _CopiesAtFork(Paged):
    """Everything is copied at once: right, and nothing is shared."""

    def fork(self):
        new = self.another()
        new.blocks, new.length = [self.allocator.allocate() for _ in self.blocks], self.length
        new.k[new.blocks], new.v[new.blocks] = self.k[self.blocks], self.v[self.blocks]
        return new


class _CountsNothing(Paged):
    """No reference is added: each takes its blocks to be its own."""

    def _share(self, new):
        pass


class _EmptyFork(Paged):
    def fork(self):
        return self.another()


class _LastShared(Paged):
    """Only the last block gets a reference more."""

    def _share(self, new):
        for block in new.blocks[-1:]:
            self.allocator.share(block)


WRONG_FORKS = (
    (
        "new tokens are written into a block that another sequence has as well, and change its "
        "tokens: copy such a block first.",
        _WritesShared,
    ),
    (
        "a block is copied that nobody else has. One reference means that it may be written.",
        _CopiesAlways,
    ),
    (
        "a full block is copied. Nothing is written into it any more: the next token goes to a new "
        "one.",
        _CopiesFull,
    ),
    (
        "the new block does not get the old one's tokens: copy its keys and values first.",
        _CopiesNothing,
    ),
    ("only the keys are copied into the new block: it needs the values as well.", _KeysOnly),
    (
        "the block that was copied keeps its reference: free it, as this sequence has another now.",
        _KeepsReference,
    ),
    (
        "fork copies all blocks. It need not copy any: both sequences read the same ones.",
        _CopiesAtFork,
    ),
    (
        "fork adds no references, so that blocks are taken for one sequence's own: share() each of "
        "them.",
        _CountsNothing,
    ),
    ("the fork is empty: it begins with all tokens of its source.", _EmptyFork),
    (
        "only the last block gets a reference. The fork reads all of them: share() each.",
        _LastShared,
    ),
)
