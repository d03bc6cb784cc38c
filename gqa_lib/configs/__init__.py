"""The shapes of real models: a shipped table, and any Hugging Face config.json.

B batch, S cached tokens, Hq query heads, Hkv key/value heads, D head size. Nothing here needs
torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # of __init__.pyi
