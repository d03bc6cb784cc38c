"""The settings of torch that belong to the whole notebook, for an exercise to leave alone."""

from collections.abc import Callable
from typing import Any

import torch


def _set_default_device(device: torch.device) -> None:
    # The CPU is what it is unset; setting even that leaves a mode on that torch.compile refuses.
    torch.set_default_device(None if device == torch.device("cpu") else device)


_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "torch.set_default_dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch.set_default_device": (torch.get_default_device, _set_default_device),
    "torch.set_grad_enabled": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch.set_num_threads": (torch.get_num_threads, torch.set_num_threads),
    "torch.use_deterministic_algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
}


def settings() -> dict:
    """Return what each setting is now, by the function that changes it."""
    return {name: read() for name, (read, _) in _SETTINGS.items()}


def restore(before: dict) -> list[str]:
    """Set back what differs from `before`; return the functions that had changed it."""
    changed = [name for name, value in settings().items() if value != before[name]]
    for name in changed:
        _SETTINGS[name][1](before[name])
    return changed
