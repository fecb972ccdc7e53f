"""Settings of the documentation's site: Sphinx, MyST and furo, built by `make docs`.

The source folder is the repository, so a link that works in a clone works on the site too, and no
page is written twice. README.md is the first page.
"""

import sys
from pathlib import Path

_DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(_DOCS.parent), str(_DOCS / "site")]

import dissect  # noqa: E402

project = "gan-dissection"
author = copyright = "gan-dissection contributors"
version = release = dissect.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "site_pages",
]
root_doc = "README"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**",
    "dissect/weights/*.md",
    "segmenters/weights/*.md",
]
exclude_patterns = ["docs/site/**", "**/.ipynb_checkpoints"]

myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"  # notebooks hold their outputs; `make notebooks` makes them anew
nb_merge_streams = True
highlight_language = "none"  # blocks without a language are command lines and trees of files

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False

html_theme = "furo"
html_title = project
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
