"""Sphinx configuration: the docstrings, and the notebooks executed as they are built."""

import os
import shutil
import sys
from importlib import import_module
from importlib.metadata import version as installed
from pathlib import Path

here = Path(__file__).parent
# Notebooks live beside the package; Sphinx reads only below its own folder.
shutil.copytree(here.parent / "notebooks", here / "notebooks", dirs_exist_ok=True)
# Pages run the command line too, that of this environment.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

project = "bayesgmm"
author = "the bayesgmm developers"
release = installed("bayesgmm")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "jupyter_execute", "conf.py"]
# The first suffix is that of the generated pages.
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".py": "myst-nb"}
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_cache_path = str(here / "_build" / "notebook_cache")
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_in_temp = True  # what pages write is not left here
nb_merge_streams = True
if os.environ.get("BAYESGMM_QUICK"):  # before a change lands; these take half a minute each, and are executed otherwise
    slow = ("from_scikit_learn", "how_many_clusters", "real_tables", "what_goes_wrong")
    nb_execution_excludepatterns = [f"notebooks/{name}.py" for name in slow]

# Several records have an attribute "weights"; napoleon links the bare word.
suppress_warnings = ["ref.python"]
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
# As a list of names in bold: as variables "means_" would be read as a link to "means".
napoleon_custom_sections = [("Attributes", "params_style")]
templates_path = ["_templates"]

# MathJax as a package has it: one file beside the pages, so that formulas need no network.
mathjax = Path(import_module("sphinx-mathjax-offline").__file__).parent / "static" / "mathjax" / "tex-svg.js"
mathjax_path = mathjax.name

html_theme = "pydata_sphinx_theme"
html_title = "bayesgmm"
html_static_path = ["_static", str(mathjax)]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_sidebars = {"index": []}  # it has no section beside it
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 8,
    "navbar_align": "left",
    "show_nav_level": 2,
}
