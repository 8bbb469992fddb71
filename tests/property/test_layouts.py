"""A table written in any layout comes back as the same numbers, or is asked about: never as other numbers."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from bayesgmm.data.file_table import raise_faults
from bayesgmm.data.read_csv import read_file
from bayesgmm.errors import InputError

GROUPS = {".": ["", "", ",", " ", "'"], ",": ["", "", ".", " ", "'"]}


def written(x: float, decimal: str, group: str, places: int) -> str:
    return f"{x:,.{places}f}".replace(".", "d").replace(",", group).replace("d", decimal)


def random_table(rng: random.Random) -> tuple[str, np.ndarray]:
    """A file's text, and its numbers."""
    n_rows, n_columns = rng.choice([12, 40]), rng.choice([1, 2, 3, 5])
    decimal, delimiter = rng.choice(".,"), rng.choice(";\t,| ")
    group = rng.choice([g for g in GROUPS[decimal] if delimiter != " " or g != " "])
    kinds = [(rng.choice([0, 1, 2, 3, 4]), rng.choice([0.1, 1.0, 50.0, 1e3, 1e6])) for _ in range(n_columns)]
    values = [[round(rng.gauss(3 * rng.randrange(2), 1) * s, p) for p, s in kinds] for _ in range(n_rows)]
    rows = [[written(x, decimal, group, p) for x, (p, _) in zip(row, kinds, strict=True)] for row in values]
    header = [f"col{j}" for j in range(n_columns)]
    if rng.random() < 0.3:
        rows, header = [[f"r{i}", *row] for i, row in enumerate(rows)], ["name", *header]
    quoted = rng.random() < 0.3
    if rng.random() < 0.7:
        rows = [header, *rows]
    lines = [delimiter.join(f'"{c}"' if quoted or delimiter in c else c for c in row) for row in rows]
    before = rng.choice([[], [], [], ["# a comment"], ["Export of the sensor", ""] if n_columns > 1 else []])
    return "\n".join([*before, *lines]) + "\n", np.array(values)


@pytest.mark.parametrize("seed", range(8))
def test_numbers_come_back_or_are_asked_about(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    path, refused, n = tmp_path / "table.csv", 0, 60
    for _ in range(n):
        text, values = random_table(rng)
        path.write_text(text)
        try:
            table = read_file(path)
            raise_faults(table.faults, path)
        except InputError:
            refused += 1
            continue
        unsure = any("if its comma stands between thousands" in note for note in table.notes)
        assert unsure or np.array_equal(table.data.to_numpy(), values), text
    assert refused < 0.15 * n
