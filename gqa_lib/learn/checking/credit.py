"""Part of the points of a graded cell."""


class Credit(float):
    """Points that a test gives: only a number made here counts as such when grading.

    Attributes:
        about: plain data that the feedback page shows with the points.
    """

    about: dict | None = None


def partial_credit(points: float, about: dict | None = None) -> Credit:
    """Return part of a graded cell's points; make it the last line of the test.

    Args:
        points: what the answer earns, between 0 and the cell's points.
        about: plain data for the feedback page.
    """
    credit = Credit(points)
    credit.about = about
    return credit
