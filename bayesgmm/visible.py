"""Characters of a name that hide or reorder the text around them, made visible."""

from __future__ import annotations

import re

__all__ = ["visible"]

# Control characters, line and paragraph separators, embeddings, overrides and isolates of writing direction, halves of
# surrogate pairs, and what XML has no character for.
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def visible(text: object, keep: str = "") -> str:
    r"""Text with such characters written as Python does, except those in `keep`; the result can be stored in UTF-8.

    >>> visible("caf\u00e9 \u202eexe.lmth"), visible("two\nlines", keep="\n")
    ('café \\u202eexe.lmth', 'two\nlines')
    """
    return _HIDDEN.sub(lambda m: m[0] if m[0] in keep else m[0].encode("unicode_escape").decode(), str(text))
