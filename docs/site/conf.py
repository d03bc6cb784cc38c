"""Sphinx's settings for the site; `python -m grading.site` writes the pages it reads."""

project = "Grouped-query attention"
html_title = "Grouped-query attention"
language = "en"
extensions = ["myst_nb", "sphinx-mathjax-offline"]
exclude_patterns = ["_build"]

nb_execution_mode = "off"  # the notebooks come with their outputs
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
myst_heading_slug_func = "gqa_lib.course.manifest.anchor_of"

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
