"""The sliders, where they can be shown."""

from __future__ import annotations

from typing import Any

from gqa_lib.configs import ModelConfig, load_model
from gqa_lib.hardware import Hardware

from .show import DEFAULT_MODEL, explore


def explorer(config: ModelConfig | None = None, hardware: Hardware | None = None) -> Any:
    """Show sliders around `explore`; without ipywidgets, `explore` itself.

    Args:
        config: where to begin; Llama-3.2-3B unless given.
        hardware: ceilings measured on this machine, to have among the choices.

    Returns:
        The widget, for a notebook to show; None where there are no widgets.
    """
    try:
        from .panel import ExplorerPanel
    except ModuleNotFoundError:  # ipywidgets comes with the course, not with the library
        explore(config, hardware)
        return None
    return ExplorerPanel(config or load_model(DEFAULT_MODEL), hardware).view()
