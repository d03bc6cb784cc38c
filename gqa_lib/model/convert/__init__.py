"""A trained model with fewer KV heads: MHA becomes GQA or MQA, GQA becomes GQA with fewer."""

from .moments import second_moments
from .pool import METHODS
from .weights import convert_model, convert_state_dict

__all__ = ["METHODS", "convert_model", "convert_state_dict", "second_moments"]
