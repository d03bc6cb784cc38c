"""Sphinx's settings for the site; `python -m grading.site` writes the pages it reads."""

import re

project = "Grouped-query attention"
html_title = "Grouped-query attention"
language = "en"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build"]

nb_execution_mode = "off"  # the notebooks come with their outputs
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
myst_heading_slug_func = "gqa_lib.course.manifest.anchor_of"

# The library's reference. Docstrings are Google's sections, with `code` as Markdown writes it.
default_role = "code"
add_module_names = False
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
maximum_signature_line_length = 72
napoleon_use_ivar = True
napoleon_use_rtype = False
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False  # the search reads nothing of them, and no page links to them
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # the sidebar has the search
    "footer_content_items": [],
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def as_rst(_app, _what, _name, _object, _options, lines):
    """Let docstrings say `Point`s and *args, which reStructuredText writes in another way."""
    for number, line in enumerate(lines):
        line = re.sub(r"(`[^`]+`)(?=\w)", r"\1\\ ", line)
        lines[number] = re.sub(r"(?<![\w*`])\*(?=\w)", r"\*", line)


def without_addresses(_app, _what, _name, _object, _options, signature, returns):
    """Write a default that is a function by its name: <function f at 0x7f> is not Python."""
    named = re.sub(r"<function ([\w.<>]+?) at \w+>", r"\1", signature or "")
    return re.sub(r"<[^<>]*>", "...", named) or None, returns


def setup(app):
    app.connect("autodoc-process-signature", without_addresses)
    app.connect("autodoc-process-docstring", as_rst, priority=400)  # napoleon's is 500
