"""A small serving engine, and what serving costs."""
