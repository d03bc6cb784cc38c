"""nbgrader for this course: its configuration, the build, the learner's round."""
