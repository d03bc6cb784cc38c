# The lessons with their solutions, through the link to them in the course's folder: Formgrader's
# own links reach nothing outside that.
get_config().CourseDirectory.source_directory = "source"  # noqa: F821  (traitlets puts it here)
