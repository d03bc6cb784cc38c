"""nbgrader for this course: its configuration, the build, the learner's round."""

from .nb.programs import find_own_programs

find_own_programs()
