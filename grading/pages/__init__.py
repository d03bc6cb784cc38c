"""The pages made of graded notebooks."""
