"""How the documentation site is built: `make docs`.

Sphinx with MyST reads the Markdown as it is; the theme brings its own fonts and scripts, so that the pages ask
nobody for anything.
"""

from __future__ import annotations

project = "inithold"
author = "the inithold authors"


extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
highlight_language = "text"
# Links to headings, as Git hosts make them of the same files.
myst_heading_anchors = 3
# What documents link to on the project's own pages is checked by tests/docs, without asking the network.
myst_url_schemes = ["http", "https"]

html_theme = "furo"
html_title = "inithold"
html_copy_source = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]
