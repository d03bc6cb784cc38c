"""A config.json from the disk, and the part of it that describes the text model."""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

# Where models of several parts, such as pictures and text, keep their text model.
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_transformer_layers")
_OTHER_PARTS = ("_config", "_cfg", "_encoder")
WRAPPERS = ("text_config", "llm_config", "language_config", "thinker_config", "decoder")


def load(source: str | Path | Mapping) -> tuple[Mapping, str]:
    """Return the parsed config, and what to call it in a message.

    Args:
        source: path of a config.json or of the folder that holds it, or the parsed dictionary.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read, or is no JSON object.
    """
    if isinstance(source, Mapping):
        return source, "the given config"
    if not isinstance(source, str | Path):
        raise ValueError(
            f"a config of type {type(source).__name__}: give the path of a config.json, or what "
            "it holds, as a dictionary."
        )
    path = path_of(source)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not text: give the model's config.json.") from None
    except (OSError, ValueError) as trouble:  # a ValueError: a NUL in the path
        raise ValueError(f"{path.name} cannot be read: {trouble}") from None
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as trouble:
        raise ValueError(f"{path.name} is not JSON: {trouble}") from None
    if not isinstance(parsed, dict):
        raise ValueError(
            f"{path.name} holds {type(parsed).__name__} {str(parsed)[:40]!r} and no object of "
            "keys: give the model's config.json."
        )
    return parsed, name_of(path)


def path_of(source: str | Path) -> Path:
    """Return the config file that is meant: of a folder, its config.json."""
    path = Path(source)
    return path / "config.json" if path.is_dir() else path


def name_of(path: Path) -> str:
    """Return what a config file is called: its own name, or its folder's where that says more."""
    return path.parent.name or path.name if path.name == "config.json" else path.name


def text_part(config: Mapping, origin: str) -> Mapping:
    """Return the part of a config that describes the text model, with a model_type of its own.

    Args:
        config: the parsed file.
        origin: what to call it in a message.

    Raises:
        ValueError: a part that should hold keys holds something else.
    """
    for name in WRAPPERS:
        inner = config.get(name)
        if inner is None or (name == "decoder" and not isinstance(inner, Mapping)):
            continue
        if not isinstance(inner, Mapping):
            raise ValueError(
                f"{origin}: {name}={str(inner)[:40]!r} should hold the keys of the text model."
            )
        part = text_part(inner, origin)
        outer = str(config.get("model_type") or "")
        defaults = class_defaults().get(outer, {})
        if not _sized(part) and _sized(config):  # the sizes stand flat beside an empty part
            flat = {k: v for k, v in config.items() if k not in (*WRAPPERS, "model_type")}
            part = {**flat, **part}
        return {
            **part,
            **({"is_encoder_decoder": True} if config.get("is_encoder_decoder") is True else {}),
            "model_type": part.get("model_type") or defaults.get("text", outer),
            "tie_word_embeddings": _tied(config, part, defaults.get("tied")),
        }
    return config


def beside_text_part(config: Mapping) -> dict[str, Any]:
    """Return the keys that stand beside a model's text part, those of other parts left out.

    Args:
        config: the parsed file.
    """
    for name in WRAPPERS:
        inner = config.get(name)
        if isinstance(inner, Mapping):
            own = {} if not _sized(inner) and _sized(config) else dict(config)
            outer = {k: v for k, v in own.items() if k != name and not k.endswith(_OTHER_PARTS)}
            return outer | beside_text_part(inner)
    return {}


def _sized(config: Mapping) -> bool:
    return any(config.get(name) is not None for name in LAYERS)


def _tied(config: Mapping, part: Mapping, usual: bool | None) -> Any:
    """Whether the output head is the input embedding: the whole model says it, or its text part.

    What they contradict each other in is returned as a list, which is no answer; None is none.
    """
    told = [one.get("tie_word_embeddings") for one in (config, part)]
    told = [value for value in told if value is not None]
    return usual if not told else told[0] if all(value == told[0] for value in told) else told


@cache
def class_defaults() -> dict[str, dict[str, Any]]:
    """Return what the classes of Hugging Face transformers assume where a file leaves a key out.

    By model type: defaults of keys, or for a model of several parts the type of its text part and
    whether the whole model's output head is tied to the input embedding.
    """
    return json.loads(resource("class_defaults.json"))


def resource(name: str) -> str:
    """Return the text of a file that lies beside this one."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
