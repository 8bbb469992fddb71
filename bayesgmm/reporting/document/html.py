"""A report as one HTML page that needs nothing else: figures, style and script are within it."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from bayesgmm.reporting.document.blocks import Block, Box, Drawing, Fold, Section
from bayesgmm.reporting.document.figures import drawn
from bayesgmm.reporting.document.table_text import LATEX
from bayesgmm.visible import visible

__all__ = ["html_page"]


class _Shown(NamedTuple):
    """A block as the template takes it: its kind by name, the block, those within it, and files of a figure."""

    kind: str
    it: Block
    blocks: tuple[Any, ...] = ()
    source: str = ""
    pdf: str = ""

    @property
    def name(self) -> str:
        return getattr(self.it, "name", "")

    @property
    def title(self) -> str:
        return getattr(self.it, "title", "")

    @property
    def caption(self) -> str:
        return getattr(self.it, "caption", "")

    @property
    def width(self) -> int:
        """In CSS pixels."""
        return round(96 * self.it.size[0]) if isinstance(self.it, Drawing) else 0


def html_page(title: str, written: str, before: Sequence[Block], sections: Sequence[Section]) -> str:
    """The page; `before` stands above the list of sections."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("bayesgmm.reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_visible,
    )  # fmt: skip
    from markupsafe import Markup

    return environment.get_template("page.html.j2").render(
        title=title,
        written=written,
        before=[_shown(block) for block in before],
        sections=[{"key": s.key, "title": s.title, "blocks": [_shown(block) for block in s.blocks]} for s in sections],
        latex=Markup(json.dumps(LATEX).replace("<", "\\u003c")),
    )


def _shown(block: Block) -> _Shown:
    kind = type(block).__name__
    if isinstance(block, (Box, Fold)):
        return _Shown(kind, block, tuple(_shown(inner) for inner in block.blocks))
    if isinstance(block, Drawing):
        files = drawn(block, "svg", "pdf")
        return _Shown(
            kind, block, (), _address("image/svg+xml", files["svg"]), _address("application/pdf", files["pdf"])
        )
    return _Shown(kind, block)


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _visible(value: Any) -> Any:
    """Text as it goes into the page: a name cannot hide or turn around what stands beside it."""
    from markupsafe import Markup

    return visible(value, keep="\n") if isinstance(value, str) and not isinstance(value, Markup) else value
