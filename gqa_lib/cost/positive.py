"""Sizes that a cost is worked out from: above 0; models and machines: of the right type."""

from typing import Any

from gqa_lib.arguments import check_kind, check_number
from gqa_lib.configs import ModelConfig
from gqa_lib.hardware import Hardware


def require_positive(**values: Any) -> None:
    """Refuse sizes that are not above 0.

    Args:
        values: the sizes by the names that the message gives them.

    Raises:
        ValueError: one is 0, negative, NaN, infinite, or no number.
    """
    check_number(above=0, **values)


def require_model(config: Any) -> None:
    """Raise ValueError for what is not a ModelConfig."""
    how = "Give load_model(name), from_hf_config(path) or ModelConfig(...)."
    check_kind(ModelConfig, how, config=config)


def require_hardware(hardware: Any) -> None:
    """Raise ValueError for what is not Hardware."""
    how = "Give datasheet(name), measure_hardware(...) or Hardware(...)."
    check_kind(Hardware, how, hardware=hardware)
