"""Sizes that a cost is computed from must be above 0."""


def require_positive(**values: float) -> None:
    """Refuse sizes that are not above 0.

    Args:
        values: the sizes by the names that the message gives them.

    Raises:
        ValueError: one is 0, negative or NaN.
    """
    for name, value in values.items():
        if not value > 0:
            raise ValueError(
                f"{name}={value} is not positive: a cost per nothing has no meaning. "
                f"Give {name} above 0."
            )
