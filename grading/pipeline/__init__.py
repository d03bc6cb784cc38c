"""How submissions are graded: one by one with nbgrader, or a class at once."""
