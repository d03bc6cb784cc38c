"""Sees whether a call leaves attention to torch's own function, which does all of it in one."""

from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from .values import refuse_code

_ATTENTION = {
    *("scaled_dot_product_attention", "multi_head_attention_forward", "flex_attention"),
    *("_native_multi_head_attention", "_transformer_encoder_layer_fwd"),
}


class Whole(TorchFunctionMode):
    """Notes the first of torch's own attentions that is called, by its name."""

    def __init__(self):
        super().__init__()
        self.name = ""
        self._below = _Below(self)

    def __enter__(self):
        self._below.__enter__()
        return super().__enter__()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self._below.__exit__(*exception)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "").partition(".")[0]
        if name in _ATTENTION:
            self.name = self.name or name
        refuse_code(func, args, kwargs)
        return func(*args, **(kwargs or {}))


class _Below(TorchDispatchMode):
    """Notes them where they compute, whoever called them."""

    def __init__(self, whole: Whole):
        super().__init__()
        self._whole = whole

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in _ATTENTION or name.startswith("_scaled_dot_product"):
            self._whole.name = self._whole.name or "scaled_dot_product_attention"
        return function(*args, **(kwargs or {}))
