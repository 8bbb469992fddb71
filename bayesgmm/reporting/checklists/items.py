"""Items of a checklist, and the forms that an answer has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bayesgmm.reporting.sections.subject import Subject

__all__ = ["Answer", "Checklist", "Item", "at", "authors", "if_compared", "unless"]


@dataclass(frozen=True)
class Answer:
    """A sentence, and the key of the section where more stands; without one, why the item does not apply."""

    text: str
    section: str | None = None


@dataclass(frozen=True)
class Item:
    """One item, its number as printed, and what answers it."""

    number: str
    text: str
    answer: Callable[[Subject], Answer]


@dataclass(frozen=True)
class Checklist:
    """A name, where its items come from, and the items."""

    name: str
    source: str
    items: tuple[Item, ...]


def at(section: str, text: str | Callable[[Subject], str]) -> Callable[[Subject], Answer]:
    """Answered in a section."""
    return lambda subject: Answer(text if isinstance(text, str) else text(subject), section)


def unless(because: str) -> Callable[[Subject], Answer]:
    """Never applies to a mixture of this kind."""
    return lambda subject: Answer(f"Not applicable, because {because}.")


def authors(what: str) -> Callable[[Subject], Answer]:
    """Known to the authors alone."""
    return unless(f"only the authors know it; to be stated in the paper: {what}")


def if_compared(answer: Callable[[Subject], Answer]) -> Callable[[Subject], Answer]:
    """Applies to comparisons."""

    def found(subject: Subject) -> Answer:
        if subject.compared is None:
            return Answer("Not applicable, because one fit is reported, whose number of components was given.")
        return answer(subject)

    return found
