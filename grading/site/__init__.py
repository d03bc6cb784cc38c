"""The course as a static site: `python -m grading.site` makes it, `make site` calls that."""
