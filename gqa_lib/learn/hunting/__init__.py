"""Bug hunts: the learner's inputs against wrong answers that are hidden."""
