"""Models by name or by file, in one list: what can be described, and why the rest cannot."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gqa_lib.arguments import check_kind, several

from .hugging_face import from_hf_config
from .shape import ModelConfig
from .table import load_model


def is_file(name: str) -> bool:
    """Return whether this is a config file or its folder, rather than a name in the table.

    Args:
        name: what somebody wrote.
    """
    return name.endswith(".json") or (bool(name) and Path(name).exists())


def find_models(names: Iterable[str]) -> tuple[list[ModelConfig], dict[str, str]]:
    """The models that were asked for, and why some of them cannot be described.

    Files that are called alike are told apart by their folders.

    Args:
        names: names in the shipped table, or paths of config.json files or their folders.

    Returns:
        Their ModelConfigs in that order, and name -> reason for those that were refused.
    """
    found: list[tuple[str, ModelConfig]] = []
    refused = {}
    names = several(names, "names", "names or paths")
    for number, name in enumerate(names):
        check_kind((str, Path), "Give a name or a path.", **{f"names[{number}]": name})
    for name in dict.fromkeys(map(str, names)):
        try:
            config = from_hf_config(name) if is_file(name) else load_model(name)
        except (ValueError, OSError) as trouble:
            refused[Path(name).name if is_file(name) else name] = str(trouble)
        else:
            found.append((name, config))
    alike = Counter(config.name for _, config in found)
    configs = []
    for name, config in found:
        if alike[config.name] > 1 and is_file(name):
            config = replace(config, name=f"{Path(name).resolve().parent.name}/{config.name}")
        configs.append(config)
    return configs, refused
