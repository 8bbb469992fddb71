"""A report as Markdown, with its figures as files beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bayesgmm.reporting.document.blocks import (
    Block,
    Box,
    Bullets,
    Code,
    Drawing,
    Fold,
    Heading,
    Link,
    Section,
    Tabular,
    Text,
)
from bayesgmm.reporting.document.figures import drawn
from bayesgmm.reporting.document.table_text import escape_markdown, to_markdown
from bayesgmm.reporting.numbers import Grid
from bayesgmm.visible import visible

__all__ = ["markdown_page"]


def markdown_page(
    title: str, written: str, before: Sequence[Block], sections: Sequence[Section], folder: str
) -> tuple[str, dict[str, bytes]]:
    """The text, and the files of its figures by name; `folder` is where the text looks for them."""
    figures: dict[str, bytes] = {}
    parts = [f"# {_said(title)}", f"bayesgmm report, written {written}"]
    parts += [text for block in before for text in _lines(block, folder, figures)]
    for section in sections:
        parts.append(f'<a id="{section.key}"></a>\n\n## {_said(section.title)}')
        parts += [text for block in section.blocks for text in _lines(block, folder, figures)]
    return "\n\n".join(parts) + "\n", figures


def _said(text: str) -> str:
    escaped = escape_markdown(visible(text))
    return f"[{escaped}](#{text.anchor})" if isinstance(text, Link) else escaped


def _lines(block: Block, folder: str, figures: dict[str, bytes]) -> Iterator[str]:
    """A block as paragraphs of Markdown; figures are added to `figures`."""
    match block:
        case Text(text, strong):
            yield f"**{_said(text)}**" if strong else _said(text)
        case Heading(text):
            yield f"### {_said(text)}"
        case Bullets(items):
            yield "\n".join(f"- {_said(item)}" for item in items)
        case Code(text, "prose"):
            yield _said(text)
        case Code(text, language):
            fence = "`" * max(3, 1 + max((len(run) for run in text.split() if set(run) == {"`"}), default=0))
            yield f"{fence}{language}\n{visible(text, keep=chr(10))}\n{fence}"
        case Tabular(_, caption, grid):
            yield f"*{_said(caption)}*"
            yield _table(grid).rstrip("\n")
        case Drawing(name, title, caption):
            figures[f"{name}.svg"] = drawn(block, "svg")["svg"]
            yield f"![{_said(title)}]({folder}/{name}.svg)"
            yield f"**{_said(title)}.** {_said(caption)}"
        case Box(_, blocks):
            for inner in blocks:
                for text in _lines(inner, folder, figures):
                    yield "\n".join(f"> {line}" for line in text.splitlines())
        case Fold(summary, blocks):
            yield f"**{_said(summary)}**"
            for inner in blocks:
                yield from _lines(inner, folder, figures)


def _table(grid: Grid) -> str:
    """A pipe table in which links lead to their sections."""
    plain = to_markdown(grid).splitlines()
    for at, row in enumerate(grid.rows, start=2):
        if any(isinstance(cell, Link) for cell in row):
            plain[at] = f"| {' | '.join(map(_said, row))} |"
    return "\n".join(plain)
