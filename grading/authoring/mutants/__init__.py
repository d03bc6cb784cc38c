"""Mutants: reference solutions with one step changed, which the checks must refuse."""
