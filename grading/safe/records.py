"""Plain records of the library, which may be handed to a student's function field by field."""

from dataclasses import fields, is_dataclass
from typing import Any

from gqa_lib.configs import LayerKV, ModelConfig, Weights
from gqa_lib.hardware import Hardware

from ..student.wire import pack

RECORDS = (ModelConfig, LayerKV, Weights, Hardware)


def record_of(value: Any) -> dict:
    """Return what stands for a plain record, whose fields may hold records, too.

    Raises:
        TypeError: it is none of `RECORDS`.
    """
    if not is_dataclass(value) or type(value) not in RECORDS:
        raise TypeError(f"a {type(value).__name__} in a record cannot be handed over")
    given = {field.name: getattr(value, field.name) for field in fields(value)}
    return {"record": type(value).__name__, "fields": pack(given, [], record_of)}
