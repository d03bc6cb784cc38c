"""What a learner does outside a notebook: open, submit, reset."""
