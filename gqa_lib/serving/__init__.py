"""A small serving engine, and what serving costs."""

from .engine import Engine
from .record import Step
from .request import Request

__all__ = ["Engine", "Request", "Step"]
