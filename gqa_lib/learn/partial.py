"""Part of the points of a graded cell."""


class Credit(float):
    """Points that a test gives: only a number made here counts as such when grading."""


def partial_credit(points: float) -> Credit:
    """Return part of a graded cell's points; make it the last line of the test.

    Args:
        points: what the answer earns, between 0 and the cell's points.
    """
    return Credit(points)
