"""One self-contained HTML page about a fit: what was found, whether to believe it, and how to do it again."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesgmm.arguments import check_probability
from bayesgmm.data.visible import visible
from bayesgmm.model_selection.fit import kind_of
from bayesgmm.reporting import method, results
from bayesgmm.reporting.plots.scene import check_fitted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayesgmm.model_selection.comparison import ComparedFits
    from bayesgmm.model_selection.fit import Fit
    from bayesgmm.reporting.plots.scene import Scene

__all__ = ["report"]


def report(fit: Fit | ComparedFits, path: str | PathLike[str], *, ci_prob: float = 0.95) -> Path:
    """Write a report on a fit, or on a comparison and the fit it recommends: one HTML file, figures included.

    Parameters
    ----------
    fit : BayesianGMM or Comparison
        Fitted.
    path : str or PathLike
        The file to write; one that is there is replaced only once the new one is complete.
    ci_prob : float
        Probability of all intervals.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If `fit` is not a fitted `BayesianGMM`, the file cannot be written, or `ci_prob` is out of range.

    Examples
    --------
    >>> import bayesgmm as bg  # doctest: +SKIP
    >>> bg.report(fit, "report.html")  # doctest: +SKIP
    """
    from bayesgmm.data.files import check_writable, write_whole

    compared: Any = fit if hasattr(fit, "candidates") else None
    chosen: Any = fit if compared is None else compared.best
    check_fitted(chosen)
    check_probability(ci_prob)
    check_writable(path)  # before the work, not after it
    write_whole(path, _render(chosen, ci_prob, compared).encode())
    return Path(path)


def _render(fit: Fit, ci_prob: float, compared: ComparedFits | None = None) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from bayesgmm.reporting.comparison import comparing
    from bayesgmm.reporting.plots.scene import Scene, row_probabilities
    from bayesgmm.reporting.plots.style import ALARM, verdict_note

    probabilities = row_probabilities(fit, fit.table_.values)
    scene = Scene.of(fit, probabilities)
    note = verdict_note(scene.diagnosis)
    environment = Environment(
        loader=PackageLoader("bayesgmm.reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    return environment.get_template("report.html.j2").render(
        title=f"Mixture of {kind_of(fit).counted(fit.n_components)}",
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        alarm=note is not None and note[1] == ALARM,
        caution=note is not None and note[1] != ALARM,
        headline=results.headline(fit, probabilities, ci_prob),
        data=method.data(fit),
        model=method.model(fit),
        likelihood=method.likelihood(fit),
        diagnostics=method.diagnostics(fit),
        clusters=results.clusters(fit, ci_prob),
        assignment=results.assignment(fit, probabilities),
        reproducibility=method.reproducibility(fit),
        comparison=None if compared is None else comparing(compared),
        figures=_figures(fit, scene, ci_prob, compared),
    )


def _shown(value: Any) -> Any:
    """Text as it goes into the page: a name cannot hide or turn around what stands beside it."""
    from markupsafe import Markup

    return visible(value, keep="\n") if isinstance(value, str) and not isinstance(value, Markup) else value


def _figures(fit: Fit, scene: Scene, ci_prob: float, compared: ComparedFits | None) -> dict[str, dict[str, Any]]:
    """Each figure as an address that holds its SVG, with its caption and width in CSS pixels."""
    from bayesgmm.reporting.plots.clusters import clusters_size, draw_clusters
    from bayesgmm.reporting.plots.comparison import COMPARISON_CAPTION, COMPARISON_SIZE, draw_comparison
    from bayesgmm.reporting.plots.diagnostics import DIAGNOSTICS_CAPTION, DIAGNOSTICS_SIZE, draw_diagnostics
    from bayesgmm.reporting.plots.legend import clusters_caption
    from bayesgmm.reporting.plots.scene import choose_features

    columns = choose_features(scene, None)
    options: dict[str, Any] = {"levels": [0.95], "n_draws": 50, "ci_prob": ci_prob}

    def drawn(size: tuple[float, float], draw: Callable[[Figure], Any], caption: str) -> dict[str, Any]:
        return {"source": _svg(size, draw), "caption": caption, "width": round(96 * size[0])}

    shown = {} if compared is None else {
        "comparison": drawn(
            COMPARISON_SIZE, lambda figure: draw_comparison(figure, compared), COMPARISON_CAPTION
        )
    }  # fmt: skip
    return shown | {
        "clusters": drawn(
            clusters_size(columns, len(scene.classes)),
            lambda figure: draw_clusters(figure, scene, columns, **options),
            clusters_caption(scene, columns, **options),
        ),
        "diagnostics": drawn(DIAGNOSTICS_SIZE, lambda figure: draw_diagnostics(figure, fit), DIAGNOSTICS_CAPTION),
    }


def _svg(size: tuple[float, float], draw: Callable[[Figure], Any]) -> str:
    """A drawing as a data address; the same drawing gives the same bytes, and no window or global state is touched."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from bayesgmm.reporting.plots.style import STYLE

    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    # Outlines to a hundredth of a point: a third of the bytes, and no eye sees the difference.
    svg = re.sub(rb' d="[^"]*"', lambda d: re.sub(rb"(\.\d\d)\d+", rb"\1", d[0]), buffer.getvalue())
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"
