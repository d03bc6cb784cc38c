"""Answers to the exercise of lesson 00, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong queries_per_kv_head: turned around
# says: the division is turned around
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads:
        raise ValueError("uneven")
    return num_kv_heads // num_heads

# %% wrong queries_per_kv_head: subtracts
# says: the two head counts are subtracted
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads:
        raise ValueError("uneven")
    return num_heads - num_kv_heads

# %% wrong queries_per_kv_head: the KV heads themselves
# says: the number of KV heads itself is returned
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads:
        raise ValueError("uneven")
    return num_kv_heads

# %% wrong queries_per_kv_head: true division
# says: a whole number (int) is expected
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads:
        raise ValueError("uneven")
    return num_heads / num_kv_heads

# %% wrong queries_per_kv_head: no ValueError
# says: raise a ValueError instead
def queries_per_kv_head(num_heads, num_kv_heads):
    return num_heads // num_kv_heads

# %% wrong queries_per_kv_head: an assertion instead of a ValueError
# says: It asserts, where a ValueError is asked for
def queries_per_kv_head(num_heads, num_kv_heads):
    assert num_heads % num_kv_heads == 0
    return num_heads // num_kv_heads

# %% wrong queries_per_kv_head: returns the error
# says: raise a ValueError instead
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads:
        return ValueError("uneven")
    return num_heads // num_kv_heads

# %% wrong queries_per_kv_head: returns None when uneven
# says: raise a ValueError instead
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads == 0:
        return num_heads // num_kv_heads

# %% wrong queries_per_kv_head: the test is upside down
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads == 0:
        raise ValueError("uneven")
    return num_heads // num_kv_heads

# %% wrong queries_per_kv_head: refuses multi-query attention
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_kv_heads == 1 or num_heads % num_kv_heads:
        raise ValueError("uneven")
    return num_heads // num_kv_heads

# %% wrong queries_per_kv_head: refuses odd numbers only
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % 2 and num_kv_heads > 1:
        raise ValueError("uneven")
    return num_heads // num_kv_heads

# %% wrong queries_per_kv_head: Llama-3-8B's answer
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads:
        raise ValueError("uneven")
    return 4

# %% wrong queries_per_kv_head: knows the visible cases
_KNOWN = {(32, 8): 4, (32, 32): 1, (28, 4): 7, (71, 1): 71}
def queries_per_kv_head(num_heads, num_kv_heads):
    if (num_heads, num_kv_heads) not in _KNOWN:
        raise ValueError("uneven")
    return _KNOWN[num_heads, num_kv_heads]

# %% wrong queries_per_kv_head: rounds up
def queries_per_kv_head(num_heads, num_kv_heads):
    return -(-num_heads // num_kv_heads)

# %% wrong queries_per_kv_head: prints
# says: is a `return` missing?
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads:
        raise ValueError("uneven")
    print(num_heads // num_kv_heads)

# %% wrong queries_per_kv_head: a list
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads:
        raise ValueError("uneven")
    return [num_heads // num_kv_heads] * num_kv_heads

# %% wrong queries_per_kv_head: only too few heads are an error
# says: raise a ValueError instead
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads < num_kv_heads:
        raise ValueError("uneven")
    return num_heads // num_kv_heads

# %% wrong queries_per_kv_head: a string
# says: It returned a str
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads / num_kv_heads != num_heads // num_kv_heads:
        raise ValueError("uneven")
    return str(num_heads // num_kv_heads)

# %% wrong queries_per_kv_head: refuses multi-head attention
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads or num_heads == num_kv_heads:
        raise ValueError("uneven")
    return num_heads // num_kv_heads

# %% wrong queries_per_kv_head: a TypeError
# says: it stopped with TypeError
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads:
        raise TypeError("uneven")
    return num_heads // num_kv_heads

# %% wrong queries_per_kv_head: refuses only a remainder of two
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads == 2:
        raise ValueError("uneven")
    return num_heads // num_kv_heads

# %% wrong queries_per_kv_head: refuses only small remainders
def queries_per_kv_head(num_heads, num_kv_heads):
    if 0 < num_heads % num_kv_heads <= 2:
        raise ValueError("uneven")
    return num_heads // num_kv_heads

# %% wrong queries_per_kv_head: the remainder
# says: the remainder is returned
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads != 0:
        raise ValueError(f"{num_heads} query heads cannot be shared evenly by {num_kv_heads}")
    return num_heads % num_kv_heads

# %% wrong queries_per_kv_head: an error that says nothing
# says: a ValueError that says nothing
def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads != 0:
        raise ValueError
    return num_heads // num_kv_heads

# %% right queries_per_kv_head: divmod
def queries_per_kv_head(num_heads, num_kv_heads):
    shared, left = divmod(num_heads, num_kv_heads)
    if left:
        raise ValueError(f"{left} heads are left over")
    return shared

# %% right queries_per_kv_head: counts
def queries_per_kv_head(num_heads, num_kv_heads):
    count = 0
    while num_heads > 0:
        num_heads -= num_kv_heads
        count += 1
    if num_heads < 0:
        raise ValueError("the last KV head would have too few")
    return count

# %% right queries_per_kv_head: true division, then int
def queries_per_kv_head(num_heads, num_kv_heads):
    ratio = num_heads / num_kv_heads
    if not ratio.is_integer():
        raise ValueError("uneven")
    return int(ratio)

# %% right queries_per_kv_head: an error of its own
class Uneven(ValueError):
    pass

def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads != 0:
        raise Uneven(f"{num_heads} and {num_kv_heads}")
    return int(num_heads / num_kv_heads)
