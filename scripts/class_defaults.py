"""Write what the configuration classes of Hugging Face transformers assume where a file is silent.

python scripts/class_defaults.py writes gqa_lib/configs/hugging_face/class_defaults.json from the
installed transformers: for each model type the defaults of the keys that the reader there asks for,
as declared and not as worked out from others, and for models of several parts the type of their
text part and whether the whole model's output head is tied.
"""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

READER = Path(__file__).parents[1] / "gqa_lib" / "configs" / "hugging_face"
PLAIN = (int, float, bool, str)


def class_defaults() -> dict[str, dict[str, Any]]:
    """Return the defaults by model type, and the key that names a text part's type."""
    from transformers.models.auto import modeling_auto
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    source = "".join(path.read_text(encoding="utf-8") for path in sorted(READER.glob("*.py")))
    asked = set(re.findall(r'"(\w+)"', source)) - {"model_type"}
    parts = {family: text_type(CONFIG_MAPPING[family]) for family in sorted(CONFIG_MAPPING)}
    decoders = {
        *modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        *modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
        *filter(None, parts.values()),
    }
    wrappers = {
        family: wrapper(CONFIG_MAPPING[family], part) for family, part in parts.items() if part
    }
    found = {
        family: wrappers.get(family) or declared(CONFIG_MAPPING[family], asked)
        for family in parts
        if family in wrappers or family in decoders
    }
    for family in found.keys() - wrappers.keys():
        if names := worked_out(family, CONFIG_MAPPING[family], found[family]):
            found[family]["must_say"] = names
    return found


def worked_out(family: str, cls: type, own: dict[str, Any]) -> list[str]:
    """Return the keys that a file must have, as its class works them out in a way not known here.

    Those are what a class's own file has beside the declared defaults, where the reader makes
    something else of a file without them.
    """
    from unittest.mock import patch

    from gqa_lib.configs.hugging_face import from_hf_config, keys

    try:
        whole = json.loads(cls().to_json_string(use_diff=False)) | {"model_type": family}
    except Exception:
        return []
    with patch.object(keys, "class_defaults", return_value={family: own}):
        results = []
        for given in ({"model_type": family}, whole):
            try:
                results.append(from_hf_config(given).kv_layers)
            except ValueError:
                results.append(None)
    if results[0] is None or results[0] == results[1]:
        return []
    names = [
        name
        for name in sorted(whole)
        if name not in own and name != "model_type" and keys.concerns(name, whole[name])
    ]
    return [name for name in names if isinstance(whole[name], list | dict)] or names


def declared(cls: type, asked: set[str]) -> dict[str, Any]:
    """Return the defaults that a class declares, of the keys that are asked for."""
    own = {}
    for field in dataclasses.fields(cls):
        value = field.default
        if field.name in asked and isinstance(value, PLAIN) and value not in ("", False):
            own[field.name] = value
    return own


def wrapper(cls: type, part: str) -> dict[str, Any]:
    """Return the type of a text part, and whether the model as a whole ties its output head."""
    return {"text": part, "tied": bool(getattr(cls(), "tie_word_embeddings", False))}


def text_type(cls: type) -> str | None:
    """Return the type of a model's text part, None where the model is one itself."""
    try:
        config = cls()
        text = config.get_text_config(decoder=True)
    except Exception:
        return None
    return None if text is config or text.model_type == cls.model_type else text.model_type or None


if __name__ == "__main__":
    rows = (f"{json.dumps(k)}: {json.dumps(v)}" for k, v in class_defaults().items())
    (READER / "class_defaults.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")
