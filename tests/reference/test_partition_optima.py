"""Best partitions of eight items against an enumeration of all 4140 made by another program."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import bayesgmm as bg

KNOWN = json.loads((Path(__file__).parent / "partition" / "exhaustive_n8.json").read_text())


@pytest.mark.parametrize("name", ["two", "three", "vague"])
@pytest.mark.parametrize("loss", ["vi", "binder"])
def test_partition_is_the_enumerated_one(name: str, loss: str) -> None:
    known = KNOWN[name]
    found = bg.partition_from_labels(np.array(known["draws"]), loss=loss, random_seed=0)
    # Theirs: bits, and the sum over pairs i < j; ours: nats, and the share of ordered pairs.
    best = known["EVI_bits"] if loss == "vi" else known["binder_sum_iltj"]
    value = best["value"] * math.log(2.0) if loss == "vi" else 2.0 * best["value"] / 64.0
    assert found.expected_loss == pytest.approx(value, abs=1e-12)
    labels = np.asarray(found.labels)
    same = labels[:, None] == labels[None, :]
    theirs = [np.array(o)[:, None] == np.array(o)[None, :] for o in best["argopt"]]
    assert any((same == t).all() for t in theirs)
