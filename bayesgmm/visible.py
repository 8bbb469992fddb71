"""Text on one line, in which no character of a name hides or reorders what stands around it."""

from __future__ import annotations

import re

__all__ = ["one_line", "visible"]

# Control characters, line and paragraph separators, embeddings, overrides and isolates of writing direction, halves of
# surrogate pairs, and what XML has no character for.
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def visible(text: object, keep: str = "") -> str:
    r"""Text with such characters written as Python does, except those in `keep`; the result can be stored in UTF-8.

    >>> visible("caf\u00e9 \u202eexe.lmth"), visible("two\nlines", keep="\n")
    ('café \\u202eexe.lmth', 'two\nlines')
    """
    return _HIDDEN.sub(lambda m: m[0] if m[0] in keep else m[0].encode("unicode_escape").decode(), str(text))


def one_line(text: object) -> str:
    r"""The lines of a text as one; spaces within a line stay, since a name may have two.

    >>> one_line("no column 'a  b':\n  choose another\n")
    "no column 'a  b': choose another"
    """
    return " ".join(line.strip() for line in str(text).splitlines()).strip()
