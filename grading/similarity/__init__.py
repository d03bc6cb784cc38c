"""Answers that are alike: pairs for a person to read, and no verdict."""
