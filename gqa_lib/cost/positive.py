"""Sizes that a cost is computed from must be above 0."""


def require_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(
                f"{name}={value} is not positive: a cost per nothing has no meaning. "
                f"Give {name} above 0."
            )
