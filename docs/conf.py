"""The documentation site: `make docs` builds it into build/docs, without network."""

import sys
from pathlib import Path

import projpipe

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "projpipe"
author = "the projpipe authors"
version = release = projpipe.__version__
copyright = "the projpipe authors, Apache-2.0"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "parameters",
    "package",
    "repository_links",
]
exclude_patterns = ["_extensions"]
smartquotes = False  # they would turn the two dashes of an option into one

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
add_module_names = False

html_theme = "furo"
html_title = "projpipe"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {"top_of_page_buttons": []}
