"""Checks of a learner's answers, as a notebook calls them."""
