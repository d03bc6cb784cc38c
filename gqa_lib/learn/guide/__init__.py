"""Where a learner stands and what comes next: map, hints, endings, copies of the lessons."""
