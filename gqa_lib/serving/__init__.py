"""A small serving engine, what serving costs, and requests of real services."""

from .engine import Engine
from .record import Step
from .request import Request
from .trace import TraceRequest, azure_lengths

__all__ = ["Engine", "Request", "Step", "TraceRequest", "azure_lengths"]
