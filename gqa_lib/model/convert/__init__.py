"""A trained model with fewer KV heads: MHA becomes GQA or MQA, GQA becomes GQA with fewer."""

from .folder import convert_checkpoint
from .moments import second_moments
from .pool import METHODS
from .weights import convert_model, convert_state_dict

__all__ = ["METHODS", "convert_checkpoint", "convert_model", "convert_state_dict", "second_moments"]
