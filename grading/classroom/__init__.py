"""A class's operations around grading: release, roster, due dates, marks out, and what changed."""
