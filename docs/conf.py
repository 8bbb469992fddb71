"""Sphinx configuration: the docstrings, and the notebooks executed as they are built."""

import shutil
from importlib.metadata import version as installed
from pathlib import Path

here = Path(__file__).parent
# Notebooks live beside the package; Sphinx reads only below its own folder.
shutil.copytree(here.parent / "notebooks", here / "notebooks", dirs_exist_ok=True)

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
exclude_patterns = ["_build", "jupyter_execute"]
# The first suffix is that of the generated pages.
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".py": "myst-nb"}
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_cache_path = str(here / "_build" / "notebook_cache")
nb_execution_raise_on_error = True
nb_execution_timeout = 600
exclude_patterns += ["conf.py"]

# Several records have an attribute "weights"; napoleon links the bare word.
suppress_warnings = ["ref.python"]
autosummary_generate = True
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_default_options = {"members": True, "undoc-members": False, "exclude-members": "set_fit_request"}
templates_path: list[str] = []

html_theme = "pydata_sphinx_theme"
html_title = "bayesgmm"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
