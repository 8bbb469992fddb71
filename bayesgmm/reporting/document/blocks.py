"""What a section of a report is made of; each writer gives every block its form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bayesgmm.reporting.numbers import Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Block", "Box", "Bullets", "Code", "Drawing", "Fold", "Heading", "Link", "Section", "Tabular", "Text"]


class Link(str):
    """Text that leads to a section, by its key."""

    __slots__ = ("anchor",)
    anchor: str

    @classmethod
    def to(cls, text: str, anchor: str) -> Link:
        """The text, with the key of the section."""
        link = cls(text)
        link.anchor = anchor
        return link


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Text to copy as it is: of a programming language, or "prose"."""

    text: str
    language: str = "text"


@dataclass(frozen=True)
class Tabular:
    """A table: `name` is that of its file, `caption` says what it shows."""

    name: str
    caption: str
    grid: Grid


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure that is drawn when it is written; `size` in inches, `name` is that of its file."""

    name: str
    title: str
    caption: str
    size: tuple[float, float]
    draw: Callable[[Figure], Any]


@dataclass(frozen=True)
class Box:
    """Blocks that stand out: "answer", "alarm" or "caution"."""

    kind: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Fold:
    """Blocks behind a line that opens them."""

    summary: str
    blocks: tuple[Block, ...]
    open: bool = False


Block = Text | Heading | Bullets | Code | Tabular | Drawing | Box | Fold


@dataclass(frozen=True)
class Section:
    """A heading with its blocks; `key` is what links lead to."""

    key: str
    title: str
    blocks: tuple[Block, ...]

    def each(self, kind: type[Any]) -> list[Any]:
        """All blocks of a kind, those within others included, in order."""
        return list(_each(self.blocks, kind))


def _each(blocks: tuple[Block, ...], kind: type[Any]) -> Any:
    for block in blocks:
        if isinstance(block, kind):
            yield block
        if isinstance(block, (Box, Fold)):
            yield from _each(block.blocks, kind)
