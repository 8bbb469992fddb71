"""How the figures look: colours a colour-blind reader tells apart, quiet axes, and the verdict in words.

Colours follow Okabe and Ito (2008), without yellow and black; every component has a marker of its own as
well, so that a figure survives a black-and-white printer. Nothing here changes matplotlib's settings for good:
figures are drawn inside ``matplotlib.rc_context(STYLE)``.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from bayesgmm.posterior.diagnostics.diagnose import Diagnosis
from bayesgmm.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "ALARM", "CAUTION", "CHAIN_COLOURS", "INK", "MUTED", "STYLE", "axis_label", "component_style", "instead",
    "quiet_axes", "row_style", "title", "verdict_note", "wrap_to", "write_note", "write_verdict",
]  # fmt: skip

INK, MUTED, ALARM, CAUTION = "#222222", "#6b6b6b", "#b00020", "#8a5a00"
COMPONENT_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5F3F", "#7E7E7E")
# Nine markers with eight colours: the pair repeats only after 72 components.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "h")
NOISE_STYLE = ("#868686", "x")  # quiet, and the one marker without a face
CHAIN_COLOURS = ("#332288", "#CC6677", "#117733", "#DDAA33", "#44AA99", "#882255", "#88CCEE", "#999933")

STYLE: dict[str, Any] = {
    "font.size": 9.0,
    "font.family": "sans-serif",
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.grid": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "white",
    "figure.facecolor": "white",
    "text.color": INK,
    "text.usetex": False,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "bayesgmm",
}


def component_style(k: int) -> tuple[str, str]:
    """Colour and marker of component k; -1 is noise.

    >>> component_style(0), component_style(-1)
    (('#0072B2', 'o'), ('#868686', 'x'))
    """
    if k < 0:
        return NOISE_STYLE
    return COMPONENT_COLOURS[k % len(COMPONENT_COLOURS)], MARKERS[k % len(MARKERS)]


def row_style(k: int, edges: str | None = None) -> dict[str, Any]:
    """Options of `scatter` for rows of component k: a face, with an edge if asked for; a cross for noise, -1."""
    colour, marker = component_style(k)
    line = 0.8 if k < 0 else 0.3 if edges else 0.0
    face = {"color": colour} if k < 0 or edges is None else {"facecolors": colour, "edgecolors": edges}
    return {"marker": marker, "linewidths": line, **face}


def quiet_axes(ax: Axes) -> None:
    """Small, muted ticks; set on the axes themselves, since ticks are made after the style context has closed."""
    ax.tick_params(labelsize=8.0, width=0.7, length=3.0, color=MUTED, labelcolor=INK)


def title(ax: Axes, text: str) -> None:
    """A title at the left of a panel."""
    ax.set_title(text, loc="left")


def instead(ax: Axes, text: str) -> None:
    """A sentence in place of a panel that has nothing to show."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, transform=ax.transAxes, wrap=True)


def axis_label(name: str, width: int = 34, lines: int = 3) -> str:
    """A column's name broken into at most `lines` lines of `width` characters.

    >>> axis_label("a rather long name of a column", width=16)
    'a rather long\\nname of a column'
    """
    shown = visible(name, keep="\n\t")
    return "\n".join(textwrap.wrap(shown, width, max_lines=lines, placeholder=" …", break_long_words=True))


def wrap_to(text: str, width: float, size: float) -> str:
    """Text of `size` points broken into lines of at most about `width` inches."""
    return textwrap.fill(text, max(20, int(width * 72.0 / (0.53 * size))))


def verdict_note(diagnosis: Diagnosis) -> tuple[str, str] | None:
    """What a figure has to say about convergence, and in which colour; None when all is well."""
    verdict = diagnosis.verdict
    if not diagnosis.ok:
        return (verdict if verdict.startswith("Not ") else f"Not converged. {verdict}"), ALARM
    if diagnosis.status in ("not_identified", "slow_components"):
        return verdict, CAUTION
    return None


def write_note(target: Figure | Axes, text: str, colour: str, size: float = 9.0) -> None:
    """A plain sentence above a figure, or inside axes of a figure that belongs to someone else."""
    from matplotlib.axes import Axes

    if isinstance(target, Axes):
        width = 0.96 * target.get_window_extent().width / target.figure.dpi
        target.text(
            0.02, 0.98, wrap_to(text, width, size), color=colour, fontsize=size, va="top", transform=target.transAxes,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2.0}, zorder=10, parse_math=False,
        )  # fmt: skip
    else:
        wrapped = wrap_to(text, 0.96 * target.get_figwidth(), size)
        target.suptitle(wrapped, color=colour, fontsize=size, x=0.02, ha="left", parse_math=False)


def write_verdict(target: Figure | Axes, diagnosis: Diagnosis) -> None:
    """`write_note` of the `verdict_note`, if there is one."""
    note = verdict_note(diagnosis)
    if note:
        write_note(target, *note)
