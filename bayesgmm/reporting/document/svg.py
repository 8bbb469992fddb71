"""An SVG of Matplotlib in a third of its bytes: what a page shows is the same to a tenth of a point.

Coordinates of outlines are rounded and written as steps, styles that come often are written once, and groups, names of
groups and comments that change nothing are left out.
"""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["smaller_svg"]

_OFTEN = 3  # uses from which a style is written once


def smaller_svg(svg: str) -> str:
    """The same drawing, shorter."""
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<!DOCTYPE[^>]*>", "", svg, flags=re.S)
    svg = re.sub(r' d="([^"]*)"', lambda d: f' d="{_outline(d[1])}"', svg)
    svg = re.sub(r' (x|y)="(-?[\d.]+)"', lambda n: f' {n[1]}="{_number(float(n[2]))}"', svg)
    svg = re.sub(
        r' transform="translate\((-?[\d.]+) 0\)"/>', lambda n: f' transform="translate({float(n[1]):.0f})"/>', svg
    )
    svg = re.sub(r">\s+<", "><", svg)
    used = set(re.findall(r"#([\w.-]+)", svg))
    svg = re.sub(r' id="([\w.-]+)"', lambda name: name[0] if name[1] in used else "", svg)
    svg = re.sub(r"<g\s*/>", "", svg)
    return _classes_once(_styles_once(_groups_once(_short_names(svg))))


def _number(x: float, decimals: int = 1) -> str:
    """Without a zero that can be left out.

    >>> _number(0.04), _number(-0.5), _number(12.34)
    ('0', '-.5', '12.3')
    """
    text = f"{x:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{x:.0f}"
    text = re.sub(r"^(-?)0\.", r"\1.", text)
    return "0" if text in ("-0", "", "-") else text


def _outline(d: str) -> str:
    """A path of straight lines as steps; another with its blanks left out.

    >>> _outline("M 10.04 20 \\nL 11.06 20.5 \\nL 12 20.5 \\nz")
    'M10 20l1.1 .5 .9 0z'
    """
    tokens = re.findall(r"[A-Za-z]|-?[\d.]+(?:e-?\d+)?", d)
    if set(re.findall(r"[A-Za-z]", d)) - set("MLz"):
        return re.sub(r"\s*([A-Za-z])\s*", r"\1", re.sub(r"(\.\d\d)\d+", r"\1", d)).strip().replace("\n", " ")
    out: list[str] = []
    at, k, steps = (0, 0), 0, False  # steps: the last command was a step, which need not be said again
    while k < len(tokens):
        if tokens[k] == "z":
            out.append("z")
            k, steps = k + 1, False
            continue
        x, y = (round(10.0 * float(v)) for v in tokens[k + 1 : k + 3])
        last = tokens[k + 3 : k + 4] in ([], ["M"])
        if tokens[k] == "M":
            out.append(f"M{_pair(x, y)}")
            steps = False
        elif (x, y) != at or last:  # a line of no length may stand at an end
            step = _pair(x - at[0], y - at[1])
            out.append(f"l{step}" if not steps else step if step[0] == "-" else f" {step}")
            steps = True
        at = x, y
        k += 3
    return "".join(out)


def _pair(x: int, y: int) -> str:
    """Two tenths of points."""
    second = _number(y / 10)
    return f"{_number(x / 10)}{'' if second[0] == '-' else ' '}{second}"


def _short_names(svg: str) -> str:
    """Names that are referred to, by a letter and a number."""
    names = {name: f"i{k:x}" for k, name in enumerate(dict.fromkeys(re.findall(r' id="([\w.-]+)"', svg)))}
    svg = re.sub(r' id="([\w.-]+)"', lambda m: f' id="{names[m[1]]}"', svg)
    return re.sub(r'(href="#|url\(#)([\w.-]+)', lambda m: m[1] + names.get(m[2], m[2]), svg)


def _groups_once(svg: str) -> str:
    """Neighbours within the same clip, in one group."""
    pattern = re.compile(r'(<g clip-path="url\(#\w+\)">)((?:<use [^>]*/>)+)</g>((?:\1(?:<use [^>]*/>)+</g>)+)')
    return pattern.sub(lambda m: f"{m[1]}{m[2]}{m[3].replace(m[1], '').replace('</g>', '')}</g>", svg)


def _classes_once(svg: str) -> str:
    """The class that all members of a group have, as that of the group."""
    pattern = re.compile(
        r'(<g clip-path="url\(#\w+\)")>((?:<use [^>]* class="(\w+)"/>)(?:<use [^>]* class="\3"/>)+)</g>'
    )
    return pattern.sub(lambda m: f'{m[1]} class="{m[3]}">{m[2].replace(f' class="{m[3]}"', "")}</g>', svg)


def _styles_once(svg: str) -> str:
    """Styles that come often, as classes."""
    counted = Counter(re.findall(r' style="([^"]*)"', svg))
    often = [style for style, n in counted.most_common() if n > _OFTEN]
    names = {style: f"s{k:x}" for k, style in enumerate(often)}
    svg = re.sub(r' style="([^"]*)"', lambda s: f' class="{names[s[1]]}"' if s[1] in names else s[0], svg)
    rules = "".join(f".{name}{{{re.sub('; ?', ';', re.sub(': ', ':', style))}}}" for style, name in names.items())
    return svg.replace("</style>", f"{rules}</style>", 1)
