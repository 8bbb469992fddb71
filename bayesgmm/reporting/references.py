"""The works that a methods paragraph cites (`references.bib`): as cited in a sentence, as listed, and as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

__all__ = ["bibtex", "cited", "listed", "references"]

_ACCENTS = {r"{\"u}": "ü", r"{\'e}": "é", r"\&": "&"}


@cache
def references() -> dict[str, dict[str, str]]:
    """The fields of every work, by its key; ``entry`` is its BibTeX."""
    found = {}
    for entry in files("bayesgmm.reporting").joinpath("references.bib").read_text(encoding="utf-8").split("\n\n"):
        head = re.match(r"@(\w+)\{(\w+),", entry)
        if head is not None:
            fields = {name: _plain(value) for name, value in re.findall(r"^  (\w+) = \{(.*)\},?$", entry, re.M)}
            found[head[2]] = {**fields, "entry": entry.strip()}
    return found


def _plain(text: str) -> str:
    for tex, letter in _ACCENTS.items():
        text = text.replace(tex, letter)
    return text.replace("--", "-").strip("{}")


def _people(key: str) -> list[list[str]]:
    return [name.split(", ") for name in references()[key]["author"].split(" and ")]


def cited(key: str) -> str:
    """As in a sentence.

    >>> cited("stephens2000"), cited("meng1996"), cited("vehtari2021")
    ('Stephens 2000', 'Meng and Wong 1996', 'Vehtari et al. 2021')
    """
    names = [last for last, _ in _people(key)]
    if len(names) > 3:
        names = [f"{names[0]} et al."]
    return f"{_and(names)} {references()[key]['year']}"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _line(key: str) -> str:
    work = references()[key]
    people = [f"{last}, {' '.join(f'{first[0]}.' for first in firsts.split())}" for last, firsts in _people(key)]
    place = work.get("journal") or work["publisher"]
    place += f" {work['volume']}" if "volume" in work else ""
    place += f", {work['pages']}" if "pages" in work else ""
    doi = f" doi:{work['doi']}" if "doi" in work else ""
    return f"{_and(people)} ({work['year']}). {work['title']}. {place}.{doi}"


def listed(keys: Iterable[str]) -> list[str]:
    """The works in the order of their authors, a line each.

    >>> listed(["stephens2000"])[0]
    'Stephens, M. (2000). Dealing with label switching in mixture models. Journal of the Royal Statistical Society B 62,
     795-809. doi:10.1111/1467-9868.00265'
    """
    return sorted(_line(key) for key in set(keys))


def bibtex(keys: Iterable[str]) -> str:
    """BibTeX entries of the works."""
    return "\n\n".join(references()[key]["entry"] for key in sorted(set(keys)))
