"""The command line: ``bayesgmm fit data.csv --components 3``, ``bayesgmm compare data.csv --components 1:6``, ``demo``.

Bad input ends with exit code 2 and one line; an unconverged fit ends with exit code 3 and says so. May import
everything.
"""

from bayesgmm.cli.app import app, main
from bayesgmm.cli.parse import parse_components, parse_kinds, parse_steps, parse_structures

__all__ = ["app", "main", "parse_components", "parse_kinds", "parse_steps", "parse_structures"]
