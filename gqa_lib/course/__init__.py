"""The course as files: its manifest, where it lives, how it is written."""
