"""An engine's schedule on a computed clock: what a trace would see of it."""
