"""What a student's code did to its arguments, for a test that asks to see just that."""

from typing import Any

import torch


def write_back(ours: Any, theirs: Any) -> None:
    """Let what the student's code changed of its arguments be seen in ours."""
    if isinstance(ours, torch.Tensor):
        if isinstance(theirs, torch.Tensor) and theirs.shape == ours.shape:
            ours.data.copy_(theirs)
        else:
            ours.data.add_(1)  # it is not what it was; what it became does not fit
    elif isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        for one, other in zip(ours, theirs, strict=False):
            write_back(one, other)
        if isinstance(ours, list):
            _write_plain(ours, theirs)
    elif isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours.keys() & theirs.keys():
            write_back(ours[key], theirs[key])
        for key in ours.keys() - theirs.keys():
            del ours[key]
        ours.update({key: theirs[key] for key in theirs.keys() - ours.keys()})
        ours.update({k: v for k, v in theirs.items() if _is_plain(v)})


def _write_plain(ours: list, theirs) -> None:
    if len(ours) != len(theirs):
        ours[:] = theirs
        return
    for place, one in enumerate(theirs):
        if _is_plain(one):
            ours[place] = one


def _is_plain(value) -> bool:
    return value is None or type(value) in (bool, int, float, str)
