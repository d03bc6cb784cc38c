"""How a cache's memory is checked: allocated once, never copied, on the device asked for."""

from typing import Any

import torch

from ..watch import Observation, place_of, watching, where_seen
from .caches import Steps, append_tokens, new_cache, number_of, walk
from .exercise import Complaint


def memory_of(yours: Any, k: torch.Tensor, v: torch.Tensor, max_seq_len: int, steps: Steps) -> dict:
    """Return the learner's `nbytes`.

    Args:
        yours: the learner's class.
        k, v, max_seq_len, steps: as in `expected_of_cache`.

    Raises:
        Complaint: an append copies what was cached before, or the device is not the one asked for.
    """
    yours = where_seen(yours)
    cache = new_cache(yours, k, max_seq_len)
    seen = {"nbytes of a new cache": number_of(cache, "nbytes")}
    kept, held, late = [], 0, ""
    for _, step, first in walk(steps):
        if step == "reset" or held + step > max_seq_len:
            break
        held += step
        with watching(yours, made=True) as watch:
            kept.append(append_tokens(cache, k, v, first, first + step))
        if not all(map(_equal, kept[-1], (k[:, :, :held], v[:, :, :held]))):
            raise Complaint("What append returns is not right yet: see the check above.")
        for name, first_time, now in zip(("k_all", "v_all"), kept[0], kept[-1], strict=True):
            if place_of(first_time) != place_of(now):
                raise Complaint(
                    f"The {name} for {held} tokens is not in the memory of the one before: "
                    f"adding {step} copied the {held - step} old ones as well. Allocate room for "
                    "max_seq_len tokens once, in __init__, write only the new tokens into it, and "
                    "return a slice of it, which copies nothing."
                )
        new, old = k[:, :, :step].numel(), k[:, :, : held - step].numel()
        if old:
            _refuse_copies(watch.seen(None), held - step, step, new, old)
        else:
            late = _made_late(watch.seen(None), step, new)
    if late:
        raise Complaint(late)
    seen["nbytes after the appends"] = number_of(cache, "nbytes")
    _check_device(yours, k, max_seq_len)
    _check_one_more(yours, k.device)
    return seen


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    with torch._C.DisableTorchFunction():  # in a notebook they may be watched, these are our own
        return (one.dtype, one.shape) == (other.dtype, other.shape) and torch.equal(one, other)


def _refuse_copies(made: Observation, held: int, step: int, new: int, old: int) -> None:
    if made.largest >= old and made.largest > 2 * new:  # 2: the new k and v in one tensor
        raise Complaint(
            f"Adding {step} to {held} tokens, append calls {made.operation}, which makes a new "
            f"tensor of {made.largest} numbers. The new keys have {new}, so it holds old tokens as "
            "well, copied. Write the new tokens alone, in their own slots."
        )


def _made_late(made: Observation, step: int, new: int) -> str:
    """Return what is wrong with a first append that makes the memory, or nothing."""
    if made.largest <= 2 * new:
        return ""
    return (
        f"The first append, of {step} tokens, calls {made.operation}, which makes a tensor of "
        f"{made.largest} numbers; its keys have {new}. Allocate the memory once, in __init__: a "
        "cache that is made has its room, or says at once that it does not fit."
    )


def _check_one_more(yours, device) -> None:
    """See by all that is written whether one more token copies the others, piece by piece."""
    k = torch.arange(512.0, device=device).view(1, 1, 512, 1).expand(1, 2, 512, 4)
    cache = new_cache(yours, k, 512)
    append_tokens(cache, k, k, 0, 511)
    with watching(yours, made=True) as watch:
        got = append_tokens(cache, k, k, 511, 512)
    if not all(_equal(one, k) for one in got):
        raise Complaint("What append returns is not right yet: see the check above.")
    if (written := watch.seen(None).written) > k.numel() // 2:
        raise Complaint(
            f"Adding one token to 511 writes {written} numbers; the new keys and values have "
            f"{2 * k[:, :, :1].numel()}: it copies the old ones, too. Allocate room for "
            "max_seq_len tokens once, in __init__, and write only the new tokens into it."
        )


def _check_device(yours, k, max_seq_len) -> None:
    """See without a GPU whether the device asked for is used: every torch has a "meta" one."""
    new = k[:, :, :1].to("meta")
    try:
        k_all, v_all = new_cache(yours, new, max_seq_len).append(new, new)
        right = k_all.device.type == v_all.device.type == "meta"
    except Exception:
        right = False
    if not right:
        raise Complaint(
            "Its memory is not on the device it was asked for, and would be on the CPU when the "
            "model is on a GPU. Pass device=device where you allocate."
        )
