"""What nbgrader's notebooks and steps are made of."""
