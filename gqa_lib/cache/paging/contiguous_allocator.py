"""Ranges of one memory: what a sequence needs when all its tokens must lie one after the other."""

from bisect import bisect

from gqa_lib.arguments import check_whole


class ContiguousAllocator:
    """Gives out ranges of consecutive slots, each the first that is long enough.

    Ranges that are given back join the free ones next to them.

    Args:
        num_slots: slots, numbered from 0.

    Raises:
        ValueError: num_slots is not a whole number from 1.
    """

    def __init__(self, num_slots: int):
        check_whole(num_slots=num_slots)
        self.num_slots = num_slots
        self._free: list[tuple[int, int]] = [(0, num_slots)]  # (start, size), in order
        self._taken: dict[int, int] = {}

    @property
    def free_ranges(self) -> list[tuple[int, int]]:
        """(start, size) of the free ranges, in order; no two touch."""
        return list(self._free)

    @property
    def num_free(self) -> int:
        """Free slots, wherever they are."""
        return self.num_slots - sum(self._taken.values())

    @property
    def largest_free(self) -> int:
        """Slots of the longest free range."""
        return max((size for _, size in self._free), default=0)

    def allocate(self, size: int) -> int:
        """Return the start of a range of so many slots that were free.

        Raises:
            ValueError: size is not a whole number from 1, or no free range is as long.
        """
        check_whole(size=size)
        for i, (start, free) in enumerate(self._free):
            if free >= size:
                self._free[i : i + 1] = [(start + size, free - size)] if free > size else []
                self._taken[start] = size
                return start
        raise ValueError(
            f"no free range has {size} slots: {self.num_free} of {self.num_slots} are free, at "
            f"most {self.largest_free} in a row. Free some ranges first, or make more slots."
        )

    def free(self, start: int) -> None:
        """Give a range back.

        Raises:
            ValueError: no range in use begins there.
        """
        if start not in self._taken:
            raise ValueError(
                f"no range in use begins at slot {start!r}: freed twice, it would be given to two "
                "sequences that overwrite each other. Free each once, by what allocate() returned."
            )
        size = self._taken.pop(start)
        i = bisect(self._free, (start, size))
        if i < len(self._free) and self._free[i][0] == start + size:
            size += self._free.pop(i)[1]
        if i and sum(self._free[i - 1]) == start:
            start, before = self._free.pop(i - 1)
            size, i = size + before, i - 1
        self._free.insert(i, (start, size))
