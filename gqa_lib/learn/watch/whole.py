"""Sees whether a call leaves attention to torch's own function, which does all of it in one."""

from torch.overrides import TorchFunctionMode

_ATTENTION = {
    *("scaled_dot_product_attention", "multi_head_attention_forward", "flex_attention"),
    *("_native_multi_head_attention", "_transformer_encoder_layer_fwd"),
}


class Whole(TorchFunctionMode):
    """Notes the first of torch's own attentions that is called, by its name."""

    def __init__(self):
        super().__init__()
        self.name = ""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "").partition(".")[0]
        if name in _ATTENTION:
            self.name = self.name or name
        return func(*args, **(kwargs or {}))
