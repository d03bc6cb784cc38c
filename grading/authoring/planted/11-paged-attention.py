"""Answers to the exercises of lesson 11, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong fragmentation: the mean of the sequences' shares
# says: the shares of the sequences are averaged
def fragmentation(lengths, block_size, reserved):
    each = []
    for n, r in zip(lengths, reserved):
        begun, blocks = -(-n // block_size), -(-max(n, r) // block_size)
        if blocks:
            slots = blocks * block_size
            each.append((n / slots, (blocks - begun) / blocks, (begun * block_size - n) / slots))
        else:
            each.append((0.0, 0.0, 0.0))
    means = [sum(parts) / len(each) for parts in zip(*each)] if each else [0.0] * 3
    return dict(zip(("used", "reserved", "internal"), means))

# %% wrong fragmentation: blocks rounded down
def fragmentation(lengths, block_size, reserved):
    begun = sum(n // block_size for n in lengths)
    blocks = sum(max(pair) // block_size for pair in zip(lengths, reserved))
    slots = block_size * blocks
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    empty = block_size * begun - sum(lengths)
    return {"used": sum(lengths) / slots, "reserved": (blocks - begun) / blocks, "internal": empty / slots}

# %% wrong fragmentation: one block more when the last is full
# says: a sequence whose last block is full gets one more
def fragmentation(lengths, block_size, reserved):
    begun = sum(n // block_size + 1 for n in lengths)
    blocks = sum(max(max(pair) + block_size - 1, pair[0] + block_size) // block_size for pair in zip(lengths, reserved))
    slots = block_size * blocks
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    empty = block_size * begun - sum(lengths)
    return {"used": sum(lengths) / slots, "reserved": (blocks - begun) / blocks, "internal": empty / slots}

# %% wrong fragmentation: cut off at what was reserved
# says: a sequence that outgrew what was reserved
def fragmentation(lengths, block_size, reserved):
    lengths = [min(pair) for pair in zip(lengths, reserved)]
    begun = sum(-(-n // block_size) for n in lengths)
    blocks = sum(-(-max(pair) // block_size) for pair in zip(lengths, reserved))
    slots = block_size * blocks
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    empty = block_size * begun - sum(lengths)
    return {"used": sum(lengths) / slots, "reserved": (blocks - begun) / blocks, "internal": empty / slots}

# %% wrong fragmentation: everything empty is reserved
# says: everything without a token is called reserved
def fragmentation(lengths, block_size, reserved):
    begun = sum(-(-n // block_size) for n in lengths)
    blocks = sum(-(-max(pair) // block_size) for pair in zip(lengths, reserved))
    slots = block_size * blocks
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    empty = block_size * begun - sum(lengths)
    return {"used": sum(lengths) / slots, "reserved": 1 - sum(lengths) / slots, "internal": 0.0}

# %% wrong fragmentation: everything empty is internal
# says: everything without a token is called internal
def fragmentation(lengths, block_size, reserved):
    begun = sum(-(-n // block_size) for n in lengths)
    blocks = sum(-(-max(pair) // block_size) for pair in zip(lengths, reserved))
    slots = block_size * blocks
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    empty = block_size * begun - sum(lengths)
    return {"used": sum(lengths) / slots, "reserved": 0.0, "internal": 1 - sum(lengths) / slots}

# %% wrong fragmentation: what is reserved is ignored
# says: what is reserved is ignored
def fragmentation(lengths, block_size, reserved):
    begun = sum(-(-n // block_size) for n in lengths)
    blocks = sum(-(-pair[0] // block_size) for pair in zip(lengths, reserved))
    slots = block_size * blocks
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    empty = block_size * begun - sum(lengths)
    return {"used": sum(lengths) / slots, "reserved": (blocks - begun) / blocks, "internal": empty / slots}

# %% wrong fragmentation: reserved only, not the larger
def fragmentation(lengths, block_size, reserved):
    begun = sum(-(-n // block_size) for n in lengths)
    blocks = sum(-(-pair[1] // block_size) for pair in zip(lengths, reserved))
    slots = block_size * blocks
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    empty = block_size * begun - sum(lengths)
    return {"used": sum(lengths) / slots, "reserved": (blocks - begun) / blocks, "internal": empty / slots}

# %% wrong fragmentation: reserved tokens instead of slots
# says: reserved tokens are counted, not slots
def fragmentation(lengths, block_size, reserved):
    used = sum(lengths)
    internal = sum(-n % block_size for n in lengths)
    waiting = sum(max(0, r - n) for n, r in zip(lengths, reserved))
    slots = used + internal + waiting
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    return {"used": used / slots, "reserved": waiting / slots, "internal": internal / slots}

# %% wrong fragmentation: reserved on top of the tokens
# says: reserved comes on top of the tokens
def fragmentation(lengths, block_size, reserved):
    begun = sum(-(-n // block_size) for n in lengths)
    blocks = sum(-(-sum(pair) // block_size) for pair in zip(lengths, reserved))
    slots = block_size * blocks
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    empty = block_size * begun - sum(lengths)
    return {"used": sum(lengths) / slots, "reserved": (blocks - begun) / blocks, "internal": empty / slots}

# %% wrong fragmentation: percent
# says: the shares are in percent
def fragmentation(lengths, block_size, reserved):
    begun = sum(-(-n // block_size) for n in lengths)
    blocks = sum(-(-max(pair) // block_size) for pair in zip(lengths, reserved))
    slots = block_size * blocks
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    empty = block_size * begun - sum(lengths)
    return {"used": 100 * sum(lengths) / slots, "reserved": 100 * (blocks - begun) / blocks, "internal": 100 * empty / slots}

# %% wrong fragmentation: no answer without slots
def fragmentation(lengths, block_size, reserved):
    begun = sum(-(-n // block_size) for n in lengths)
    blocks = sum(-(-max(pair) // block_size) for pair in zip(lengths, reserved))
    slots = block_size * blocks
    empty = block_size * begun - sum(lengths)
    return {"used": sum(lengths) / slots, "reserved": (blocks - begun) / blocks, "internal": empty / slots}

# %% wrong fragmentation: a tuple
def fragmentation(lengths, block_size, reserved):
    begun = sum(-(-n // block_size) for n in lengths)
    blocks = sum(-(-max(pair) // block_size) for pair in zip(lengths, reserved))
    slots = block_size * blocks
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    empty = block_size * begun - sum(lengths)
    return (sum(lengths) / slots, (blocks - begun) / blocks, empty / slots)

# %% wrong fragmentation: divided by the tokens
def fragmentation(lengths, block_size, reserved):
    begun = sum(-(-n // block_size) for n in lengths)
    blocks = sum(-(-max(pair) // block_size) for pair in zip(lengths, reserved))
    slots = block_size * blocks
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    empty = block_size * begun - sum(lengths)
    return {"used": 1.0, "reserved": (blocks - begun) * block_size / max(1, sum(lengths)), "internal": empty / max(1, sum(lengths))}

# %% wrong fragmentation: blocks over slots
def fragmentation(lengths, block_size, reserved):
    begun = sum(-(-n // block_size) for n in lengths)
    blocks = sum(-(-max(pair) // block_size) for pair in zip(lengths, reserved))
    slots = block_size * blocks
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    empty = block_size * begun - sum(lengths)
    return {"used": sum(lengths) / slots, "reserved": (blocks - begun) / slots, "internal": empty / slots}

# %% wrong fragmentation: the longest alone
def fragmentation(lengths, block_size, reserved):
    begun = max((-(-n // block_size) for n in lengths), default=0) * len(lengths)
    blocks = sum(-(-max(pair) // block_size) for pair in zip(lengths, reserved))
    slots = block_size * blocks
    if slots == 0:
        return {"used": 0.0, "reserved": 0.0, "internal": 0.0}
    empty = block_size * begun - sum(lengths)
    return {"used": sum(lengths) / slots, "reserved": (blocks - begun) / blocks, "internal": empty / slots}

# %% right fragmentation: sequence by sequence, in slots
import math

def fragmentation(lengths, block_size, reserved):
    used = waiting = internal = 0
    for length, in_advance in zip(lengths, reserved):
        begun = math.ceil(length / block_size) * block_size
        had = math.ceil(max(length, in_advance) / block_size) * block_size
        used += length
        internal += begun - length
        waiting += had - begun
    slots = max(1, used + waiting + internal)
    return {"used": used / slots, "reserved": waiting / slots, "internal": internal / slots}

# %% right fragmentation: with tensors, and the rest by subtraction
def fragmentation(lengths, block_size, reserved):
    n = torch.tensor(lengths, dtype=torch.int64)
    r = torch.tensor(reserved, dtype=torch.int64)
    begun = (n + block_size - 1) // block_size
    blocks = (torch.maximum(n, r) + block_size - 1) // block_size
    slots = int(blocks.sum()) * block_size
    if not slots:
        return dict.fromkeys(("used", "reserved", "internal"), 0.0)
    used = int(n.sum()) / slots
    waiting = int((blocks - begun).sum()) * block_size / slots
    return {"used": used, "reserved": waiting, "internal": 1 - used - waiting}

# %% wrong BlockAllocator: a second free is not refused
# says: and nothing was raised
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = [0] * num_blocks
        self.unused = list(range(num_blocks))
    @property
    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        if not self.unused:
            raise ValueError(f"all {len(self.counts)} blocks are in use")
        block = self.unused.pop()
        self.counts[block] = 1
        return block
    def share(self, block):
        if block not in range(len(self.counts)) or not self.counts[block]:
            raise ValueError(f"block {block} is free")
        self.counts[block] += 1
    def free(self, block):
        self.counts[block] = max(0, self.counts[block] - 1)
        if not self.counts[block]:
            self.unused.append(block)

# %% wrong BlockAllocator: a block is never given back
# says: free() gives nothing back
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(num_blocks))

    @property
    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        if not self.unused:
            raise ValueError(f"all {len(self.counts)} blocks are in use: free some first")
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be shared")
        self.counts[block] += 1

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] == 0:
            del self.counts[block]

# %% wrong BlockAllocator: the first free of a shared block
# says: the first free() of a shared block makes it free
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(num_blocks))

    @property
    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        if not self.unused:
            raise ValueError(f"all {len(self.counts)} blocks are in use: free some first")
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be shared")
        self.counts[block] += 1

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        del self.counts[block]
        self.unused.append(block)

# %% wrong BlockAllocator: share adds nothing
# says: share() adds no reference
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(num_blocks))

    @property
    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        if not self.unused:
            raise ValueError(f"all {len(self.counts)} blocks are in use: free some first")
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be shared")

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] == 0:
            del self.counts[block]
            self.unused.append(block)

# %% wrong BlockAllocator: share takes a block
# says: share() takes a free block
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(num_blocks))

    @property
    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        if not self.unused:
            raise ValueError(f"all {len(self.counts)} blocks are in use: free some first")
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be shared")
        self.counts[block] += 1
        if self.unused:
            self.unused.pop()

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] == 0:
            del self.counts[block]
            self.unused.append(block)

# %% wrong BlockAllocator: a new block has no reference
# says: a block that was just allocated has no reference
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(num_blocks))

    @property
    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block] - 1
    def allocate(self):
        if not self.unused:
            raise ValueError(f"all {len(self.counts)} blocks are in use: free some first")
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be shared")
        self.counts[block] += 1

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] == 0:
            del self.counts[block]
            self.unused.append(block)

# %% wrong BlockAllocator: blocks from 1
# says: allocate() returned block
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(1, num_blocks + 1))

    @property
    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        if not self.unused:
            raise ValueError(f"all {len(self.counts)} blocks are in use: free some first")
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be shared")
        self.counts[block] += 1

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] == 0:
            del self.counts[block]
            self.unused.append(block)

# %% wrong BlockAllocator: one block is never used
# says: one block is never handed out
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(1, num_blocks))

    @property
    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        if not self.unused:
            raise ValueError(f"all {len(self.counts)} blocks are in use: free some first")
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be shared")
        self.counts[block] += 1

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] == 0:
            del self.counts[block]
            self.unused.append(block)

# %% wrong BlockAllocator: counts those in use
# says: num_free counts the blocks in use
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(num_blocks))

    @property
    def num_free(self):
        return len(self.counts)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        if not self.unused:
            raise ValueError(f"all {len(self.counts)} blocks are in use: free some first")
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be shared")
        self.counts[block] += 1

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] == 0:
            del self.counts[block]
            self.unused.append(block)

# %% wrong BlockAllocator: None when nothing is free
# says: and nothing was raised
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(num_blocks))

    @property
    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        if not self.unused:
            return None
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be shared")
        self.counts[block] += 1

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] == 0:
            del self.counts[block]
            self.unused.append(block)

# %% wrong BlockAllocator: IndexError when nothing is free
# says: it stopped with IndexError
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(num_blocks))

    @property
    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be shared")
        self.counts[block] += 1

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] == 0:
            del self.counts[block]
            self.unused.append(block)

# %% wrong BlockAllocator: an error without a number
# says: its reader needs the number
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(num_blocks))

    @property
    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        if not self.unused:
            raise ValueError("no block is free")
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be shared")
        self.counts[block] += 1

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] == 0:
            del self.counts[block]
            self.unused.append(block)

# %% wrong BlockAllocator: a free block may be shared
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(num_blocks))

    @property
    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        if not self.unused:
            raise ValueError(f"all {len(self.counts)} blocks are in use: free some first")
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        self.counts[block] = self.counts.get(block, 0) + 1
        if block in self.unused:
            self.unused.remove(block)

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] == 0:
            del self.counts[block]
            self.unused.append(block)

# %% wrong BlockAllocator: negative numbers are blocks
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = [0] * num_blocks

    @property
    def num_free(self):
        return self.counts.count(0)

    def references(self, block):
        return self.counts[block]

    def allocate(self):
        if 0 not in self.counts:
            raise ValueError(f"all {len(self.counts)} blocks are in use")
        block = self.counts.index(0)
        self.counts[block] = 1
        return block

    def share(self, block):
        if block >= len(self.counts) or not self.counts[block]:
            raise ValueError(f"block {block} is not in use")
        self.counts[block] += 1

    def free(self, block):
        if block >= len(self.counts) or not self.counts[block]:
            raise ValueError(f"block {block} is not in use")
        self.counts[block] -= 1

# %% wrong BlockAllocator: one list for all allocators
class BlockAllocator:
    counts = {}

    def __init__(self, num_blocks):
        self.num_blocks = num_blocks

    @property
    def num_free(self):
        return self.num_blocks - len(self.counts)

    def references(self, block):
        return self.counts[block]

    def allocate(self):
        for block in range(self.num_blocks):
            if block not in self.counts:
                self.counts[block] = 1
                return block
        raise ValueError(f"all {self.num_blocks} blocks are in use")

    def share(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use")
        self.counts[block] += 1

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use")
        self.counts[block] -= 1
        if not self.counts[block]:
            del self.counts[block]

# %% wrong BlockAllocator: num_free is a method
# says: is a method
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(num_blocks))

    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        if not self.unused:
            raise ValueError(f"all {len(self.counts)} blocks are in use: free some first")
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be shared")
        self.counts[block] += 1

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] == 0:
            del self.counts[block]
            self.unused.append(block)

# %% wrong BlockAllocator: freed one too late
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(num_blocks))

    @property
    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        if not self.unused:
            raise ValueError(f"all {len(self.counts)} blocks are in use: free some first")
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be shared")
        self.counts[block] += 1

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] < 0:
            del self.counts[block]
            self.unused.append(block)

# %% wrong BlockAllocator: a shared block's error is an assert
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = {}  # block -> references, of those in use
        self.unused = list(range(num_blocks))

    @property
    def num_free(self):
        return len(self.unused)
    def references(self, block):
        return self.counts[block]
    def allocate(self):
        if not self.unused:
            raise ValueError(f"all {len(self.counts)} blocks are in use: free some first")
        block = self.unused.pop()
        self.counts[block] = 1
        return block

    def share(self, block):
        if block not in self.counts:
            assert False, f"block {block}"
        self.counts[block] += 1

    def free(self, block):
        if block not in self.counts:
            raise ValueError(f"block {block} is not in use: it cannot be freed")
        self.counts[block] -= 1
        if self.counts[block] == 0:
            del self.counts[block]
            self.unused.append(block)

# %% right BlockAllocator: a list of counts, first come first
class BlockAllocator:
    def __init__(self, num_blocks):
        self.counts = [0] * num_blocks

    @property
    def num_free(self):
        return self.counts.count(0)

    def references(self, block):
        return self.counts[block]

    def allocate(self):
        if 0 not in self.counts:
            raise ValueError(f"none of the {len(self.counts)} blocks is free")
        block = self.counts.index(0)
        self.counts[block] = 1
        return block

    def share(self, block):
        self.check(block)
        self.counts[block] += 1

    def free(self, block):
        self.check(block)
        self.counts[block] -= 1

    def check(self, block):
        if not 0 <= block < len(self.counts) or self.counts[block] == 0:
            raise ValueError(f"block {block} is not in use")

# %% right BlockAllocator: a queue, and a counter of references
from collections import Counter, deque

class BlockAllocator:
    def __init__(self, num_blocks):
        self.queue, self.used, self.num_blocks = deque(range(num_blocks)), Counter(), num_blocks

    num_free = property(lambda self: len(self.queue))

    def references(self, block):
        return self.used[block]

    def allocate(self):
        try:
            block = self.queue.popleft()
        except IndexError:
            raise ValueError(f"no block of {self.num_blocks} is free") from None
        self.used[block] += 1
        return block

    def share(self, block):
        if self.used[block] < 1:
            raise ValueError(f"block {block} is free: share only what is in use")
        self.used[block] += 1

    def free(self, block):
        if self.used[block] < 1:
            raise ValueError(f"block {block} is free already")
        self.used[block] -= 1
        if self.used[block] == 0:
            self.queue.append(block)

# %% wrong PagedKVCache: returns whole blocks
# says: append returns whole blocks
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: reads in the order of the memory
# says: blocks are read in the order of their numbers
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[sorted(self.blocks)].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: the table is not asked
# says: the table is not asked
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = position // size, position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[: len(self.blocks)].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: heads and slots mixed up
# says: heads and slots are mixed up
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].flatten(0, 2).unflatten(0, (memory.shape[1], -1))  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: returns only the new tokens
# says: append returns only the new tokens
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return k, v

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: returns v, k
# says: k and v are swapped
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.v), self.gathered(self.k)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: the keys twice
# says: the keys come back as the values
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = k[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: blocks for the new tokens at each append
# says: every append takes blocks for all of its tokens
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-k.shape[2] // size), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: a block before there is a token for it
# says: a block is taken before there is a token for it
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = end // size + 1 - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: a block for each token
# says: every token gets a block of its own
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = k.shape[2], self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: reset keeps the blocks
# says: reset keeps the blocks
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        self.length = 0

# %% wrong PagedKVCache: reset leaks the blocks
# says: reset forgets the blocks without freeing them
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: reset keeps the length
# says: reset keeps the length
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks = []

# %% wrong PagedKVCache: reset frees everybody's blocks
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        self.allocator = BlockAllocator(len(self.k))
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: blocks are taken before the check
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: MemoryError instead of ValueError
# says: it stopped with MemoryError
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise MemoryError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: says nothing of the numbers
# says: Its reader needs both numbers
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError("the memory is full")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: an exact fit is refused
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing >= free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: glues tensors, blocks for show
# says: that the table of a finds
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
        past = self.past if self.length else (k[:, :, :0], v[:, :, :0])
        self.past = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        self.length = end
        return self.past

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: new tokens begin in a new block
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[-missing:][token // size] if missing else self.blocks[-1], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: positions count from the append
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(k.shape[2])):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: writes the last token into every slot
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, -1]
            self.v[block, :, slot] = v[0, :, -1]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: takes one block at most
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(min(1, missing))]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: the axis of the batch is missing
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        self.length = end
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)  # (Hkv, slots, D)
        return heads[:, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong PagedKVCache: the length is not advanced
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        for token, position in enumerate(range(self.length, end)):
            block, slot = self.blocks[position // size], position % size
            self.k[block, :, slot] = k[0, :, token]
            self.v[block, :, slot] = v[0, :, token]
        result = []
        for memory in (self.k, self.v):
            heads = memory[self.blocks].transpose(0, 1).flatten(1, 2)
            result.append(heads[None, :, :end])
        return result

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% right PagedKVCache: slot numbers, all tokens at once
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        self.blocks += [self.allocator.allocate() for _ in range(missing)]
        table = torch.tensor(self.blocks, device=k.device)
        positions = torch.arange(end, device=k.device)
        blocks, slots = table[positions // size], positions % size
        new = slice(self.length, end)
        self.k[blocks[new], :, slots[new]] = k[0].transpose(0, 1)
        self.v[blocks[new], :, slots[new]] = v[0].transpose(0, 1)
        self.length = end
        k_all = self.k[blocks, :, slots].transpose(0, 1)[None]
        return k_all, self.v[blocks, :, slots].transpose(0, 1)[None]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% right PagedKVCache: block by block
class PagedKVCache:
    def __init__(self, num_kv_heads, head_dim, num_blocks, block_size, dtype, device):
        shape = (num_blocks, num_kv_heads, block_size, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.allocator = BlockAllocator(num_blocks)
        self.blocks = []  # the block table
        self.length = 0

    def another(self):
        new = copy(self)  # the same memory and the same allocator
        new.blocks, new.length = [], 0
        return new

    def append(self, k, v):
        end, size = self.length + k.shape[2], self.k.shape[2]
        missing, free = -(-end // size) - len(self.blocks), self.allocator.num_free
        if missing > free:
            raise ValueError(f"{missing} more blocks are needed, and {free} are free")
        done = 0
        while done < k.shape[2]:
            slot = self.length % size
            if slot == 0:
                self.blocks.append(self.allocator.allocate())
            take = min(size - slot, k.shape[2] - done)
            for memory, new in ((self.k, k), (self.v, v)):
                memory[self.blocks[-1], :, slot : slot + take] = new[0, :, done : done + take]
            done += take
            self.length += take
        return self.gathered(self.k), self.gathered(self.v)

    def gathered(self, memory):
        parts = [memory[block] for block in self.blocks]
        return torch.cat(parts, 1)[None, :, : self.length]

    def reset(self):
        for block in self.blocks:
            self.allocator.free(block)
        self.blocks, self.length = [], 0

# %% wrong ForkableKVCache: writes into shared blocks
# says: new tokens are written into a block that another sequence has
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new

# %% wrong ForkableKVCache: copies a block that it has alone
# says: a block is copied that nobody else has
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: copies full blocks
# says: a full block is copied
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.blocks and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: the new block stays empty
# says: does not get the old one's tokens
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: only the keys are copied
# says: only the keys are copied
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own] = self.k[shared]
            self.v[own] = 0
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: keeps the reference
# says: keeps its reference
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: fork copies everything
# says: fork copies all blocks
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = [self.allocator.allocate() for _ in self.blocks], self.length
        for mine, its in zip(self.blocks, new.blocks):
            self.k[its], self.v[its] = self.k[mine], self.v[mine]
        return new

# %% wrong ForkableKVCache: no references are added
# says: fork adds no references
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: the fork is empty
# says: the fork is empty
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: only the last block gets a reference
# says: only the last block gets a reference
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks[-1:]:
            self.allocator.share(block)
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: one table for both
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = self.blocks, self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: fork returns itself
class ForkableKVCache(PagedKVCache):
    def fork(self):
        for block in self.blocks:
            self.allocator.share(block)
        return self

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: fork forgets to return
# says: fork() returned None
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: the copy is not counted
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed - 1 > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: an exact fit with a copy is refused
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed >= free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: copies into the other's table
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.allocator.free(shared)
        return super().append(k, v)

# %% wrong ForkableKVCache: a new memory for the fork
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.k, new.v = self.k.clone(), self.v.clone()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: the first block is copied
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[0], self.allocator.allocate()
            self.k[own], self.v[own] = self.k[shared], self.v[shared]
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)

# %% wrong ForkableKVCache: copies all shared blocks
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new

    def append(self, k, v):
        size, free = self.k.shape[2], self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            for place, shared in enumerate(self.blocks):
                own = self.allocator.allocate()
                self.k[own], self.v[own] = self.k[shared], self.v[shared]
                self.allocator.free(shared)
                self.blocks[place] = own
        return super().append(k, v)

# %% right ForkableKVCache: with the copy in a method of its own
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = copy(self)
        new.blocks = [*self.blocks]
        for block in new.blocks:
            new.allocator.share(block)
        return new

    def own_last_block(self):
        last = self.blocks.pop()
        self.blocks.append(self.allocator.allocate())
        for memory in (self.k, self.v):
            memory[self.blocks[-1]].copy_(memory[last])
        self.allocator.free(last)

    def append(self, k, v):
        size = self.k.shape[2]
        partial = self.length % size != 0
        if partial and self.allocator.references(self.blocks[-1]) != 1:
            left = size - self.length % size
            more = 1 + max(0, -(-(k.shape[2] - left) // size))
            if more > self.allocator.num_free:
                raise ValueError(f"{more} blocks needed, {self.allocator.num_free} free")
            self.own_last_block()
        return super().append(k, v)

# %% right ForkableKVCache: the used slots alone are copied
class ForkableKVCache(PagedKVCache):
    def fork(self):
        new = self.another()
        new.blocks, new.length = list(self.blocks), self.length
        for block in self.blocks:
            self.allocator.share(block)
        return new

    def append(self, k, v):
        size, free = self.k.size(2), self.allocator.num_free
        if self.length % size and self.allocator.references(self.blocks[-1]) > 1:
            needed = -(-(self.length + k.shape[2]) // size) - len(self.blocks) + 1
            if needed > free:
                raise ValueError(f"{needed} more blocks are needed, and {free} are free")
            shared, own = self.blocks[-1], self.allocator.allocate()
            filled = self.length % size
            self.k[own, :, :filled] = self.k[shared, :, :filled]
            self.v[own, :, :filled] = self.v[shared, :, :filled]
            self.allocator.free(shared)
            self.blocks[-1] = own
        return super().append(k, v)
