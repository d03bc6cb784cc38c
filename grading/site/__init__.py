"""The course as a static site: `python -m grading.site` makes it, `make site` calls that."""


def slug(heading: str) -> str:
    """Return a heading's anchor as JupyterLab makes it, so that links between lessons hold."""
    return heading.replace(" ", "-")
