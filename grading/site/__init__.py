"""The course as a static site: `python -m grading.site` makes it, `make site` calls that."""

import re


def slug(heading: str) -> str:
    """Return the name by which lessons link to a section: JupyterLab's, where a link can have it.

    A browser writes what is not ASCII in a link in another way, so such a heading goes by its
    ASCII words.
    """
    if heading.isascii():
        return heading.replace(" ", "-")
    return re.sub(r"\W+", "-", heading, flags=re.ASCII).strip("-").lower()
