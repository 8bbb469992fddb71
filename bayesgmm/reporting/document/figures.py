"""Figures as the bytes of files: SVG for the page, PDF to print; the same drawing gives the same bytes."""

from __future__ import annotations

import io

from bayesgmm.reporting.document.blocks import Drawing
from bayesgmm.reporting.document.svg import smaller_svg

__all__ = ["drawn"]


def drawn(drawing: Drawing, *formats: str) -> dict[str, bytes]:
    """The figure in each of the formats; no window and no global state of matplotlib is touched."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from bayesgmm.reporting.plots.style import STYLE

    out = {}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=drawing.size, layout="constrained")
        drawing.draw(figure)
        for name in formats:
            buffer = io.BytesIO()
            date = {"Date": None} if name == "svg" else {"CreationDate": None} if name == "pdf" else {}
            figure.savefig(buffer, format=name, metadata=date)
            figure.set_layout_engine("none")  # what was placed stays there
            content = buffer.getvalue()
            out[name] = smaller_svg(content.decode()).encode() if name == "svg" else content
    return out
