"""Sums that the tutor does itself: how much cache, how many sequences, which heads a model has.

`asked` reads a question, `models` finds the model it means in the course's table, and `worked`
computes with `gqa_lib.cost` and shows the formula.
"""
