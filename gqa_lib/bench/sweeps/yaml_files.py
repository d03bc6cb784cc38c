"""Reading YAML as people mean it: a key that is there twice is an error, and 1e-3 is a number."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

_NUMBER = re.compile(
    r"[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"
)  # without a point, YAML 1.1 has a text
_MERGE = "tag:yaml.org,2002:merge"  # of the key <<, which takes over what an anchor has


class _Loader(yaml.SafeLoader):
    pass


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict:
    written = [key for key, _ in node.value if key.tag != _MERGE]
    keys = [loader.construct_object(key, deep=True) for key in written]
    for number, key in enumerate(keys):
        if key in keys[:number]:
            line = written[number].start_mark.line + 1
            raise ValueError(f"line {line} has {key!r} a second time: which is meant?")
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+0123456789"))


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not YAML, or has a key twice.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as trouble:
        told = " ".join(str(trouble).replace(str(path), path.name).split())
        raise ValueError(f"{path.name} cannot be read as YAML: {told}") from None
