from .checkpoints import kv_heads_in_weights as kv_heads_in_weights
from .hugging_face import from_hf_config as from_hf_config
from .shape import ModelConfig as ModelConfig
from .table import all_models as all_models
from .table import expand_windows as expand_windows
from .table import list_models as list_models
from .table import load_model as load_model
