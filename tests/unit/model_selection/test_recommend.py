"""The three answers, from scores made by hand."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesgmm.clustering.classification import Classification
from bayesgmm.clustering.merging import Merging
from bayesgmm.clustering.merging_rule import MergeTrees
from bayesgmm.compare_plan import at_ceiling, pairs_of, rounds
from bayesgmm.errors import InputError
from bayesgmm.model.structure import Kind
from bayesgmm.model_selection.candidate import Candidate, aicc
from bayesgmm.model_selection.evidence.bridge_sampling import Evidence
from bayesgmm.model_selection.evidence.empty_components import EmptyComponentRatio
from bayesgmm.model_selection.ranking import depends_on, elpd_table, predict_as_well, probabilities, scale_table
from bayesgmm.model_selection.recommend import recommend

N = 100


def merging_of(k: int, clusters: dict[int, float]) -> Merging:
    """Of 100 draws: components that are one cluster 1 sd apart, those of different clusters 8."""
    groups = [np.minimum(np.arange(k), m - 1) for m, p in clusters.items() for _ in range(round(100 * p))]
    apart = np.array([np.where(g[:, None] == g, 1.0 - np.eye(k), 8.0) for g in groups])
    return Merging(2.5, np.ones(apart.shape[:2], dtype=bool), MergeTrees(apart))


def candidate(
    k: int,
    elpd_i: Any,
    evidence: float | None,
    *,
    bic: float = 0.0,
    half: float | None = None,
    double: float | None = None,
    clusters: dict[int, float] | None = None,
    structure: str = "full",
    **options: Any,
) -> Candidate:
    loo: Any = None
    if elpd_i is not None:
        by_row = np.broadcast_to(np.asarray(elpd_i, dtype=float), N)
        loo = SimpleNamespace(elpd=float(by_row.sum()), elpd_i=by_row, weight_i=np.ones(N), ok=True)
    record = None if evidence is None else Evidence(
        evidence, 0.01, 0.0, 0.9, k, 1, 0.0, "by hand", np.zeros((1, 1)), k
    )  # fmt: skip
    table = None if evidence is None else pd.DataFrame(
        {"log_evidence": [evidence if half is None else half, evidence, evidence if double is None else double]},
        index=[0.5, 1.0, 2.0],
    )  # fmt: skip
    values: dict[str, Any] = {
        "converged": True, "verdict": "Converged.", "method": "", "notes": "", "log_likelihood": 0.0, "aicc": 0.0,
        "icl": bic, "n_parameters": 3 * k - 1, "waic": None, "empty_ratio": None, "seconds": 1.0, "problems": (),
        "occupied": pd.Series({k: 1.0}), "classification": Classification(np.full(k, N / k), np.full(k, 0.9), 0.8),
    } | options  # fmt: skip
    return Candidate(n_components=k, kind=Kind(structure), loo=loo, evidence=record, sensitivity=table, bic=bic,
                     merging=merging_of(k, clusters or {k: 1.0}), **values)  # type: ignore[arg-type]  # fmt: skip


def wave(size: float) -> Any:
    """Row scores that sum to 0, with paired SE sqrt(N) size."""
    return size * (-1.0) ** np.arange(N)


def agreeing() -> dict[int | str, Candidate]:
    return {
        1: candidate(1, -3.0, -320.0, bic=600.0),
        2: candidate(2, -2.0, -230.0, bic=400.0),
        3: candidate(3, -2.01, -234.0, bic=420.0),
    }


def test_all_agree() -> None:
    said = recommend(agreeing())
    assert said.headline == "2 Gaussian components (full) that describe 2 clusters."
    assert (said.label, said.n_components, said.n_clusters, said.most_probable) == (2, 2, 2, 2)
    assert said.agree and said.stable is True
    assert said.sentences[:2] == (
        "K = 2 has the highest expected log predictive density (elpd -200.0); K = 1 is lower by 100.0 (SE 0.0).",
        "If every cluster is Gaussian, K = 2 is most probable, p(K | y) = 0.98. K = 2 remains most probable when the "
        "prior SD of the means is halved or doubled (p = 0.98 or more).",
    )
    assert "disagree" not in str(said)


def test_a_simpler_fit_that_predicts_about_as_well() -> None:
    said = recommend({1: candidate(1, -2.03, 0.0), 2: candidate(2, -2.0, 9.0)})
    assert said.sentences[0] == (
        "K = 2 has the highest expected log predictive density (elpd -200.0); K = 1, lower by 3.0 (SE 0.0), is the "
        "simplest that predicts about as well."
    )
    assert "K = 2 is most probable, p(K | y) > 0.99." in said.sentences[1]


def test_one_standard_error_of_the_paired_difference() -> None:
    """A difference of 10 nats is within one SE of sqrt(100) 1.1, not within one of sqrt(100) 0.9."""
    for size, chosen in ((1.1, 1), (0.9, 2)):
        found = {1: candidate(1, -2.1 + wave(size), -1.0), 2: candidate(2, -2.0, -1.0), 3: candidate(3, -2.1, -1.0)}
        table = elpd_table(found)
        assert table.at[1, "elpd_diff"] == pytest.approx(-10.0) and table.at[1, "diff_se"] == pytest.approx(10 * size)
        assert recommend(found).label == chosen


def test_small_differences_are_no_differences() -> None:
    for below, near in ((3.9, [1, 2]), (4.1, [2])):
        found: dict[int | str, Candidate] = {
            1: candidate(1, -2.0 - below / N, -1.0), 2: candidate(2, -2.0, -1.0)
        }  # fmt: skip
        assert predict_as_well(found) == near


def test_components_that_describe_fewer_clusters_and_criteria_that_disagree() -> None:
    found = agreeing()
    found[3] = candidate(3, -1.8, -200.0, bic=410.0, clusters={2: 0.8, 3: 0.2})
    said = recommend(found)
    assert said.headline == "3 Gaussian components (full) that describe 2 clusters."
    assert said.cluster_probability == 0.8 and not said.agree
    assert "The criteria disagree: elpd and p(K | y) for K = 3; BIC and ICL for K = 2." in str(said)
    assert "K = 3 is the largest number of components that was ranked" in str(
        said
    ) and "fewer clusters than components" in str(said)


def test_larger_numbers_are_asked_for_only_where_they_are_lacking_unsaid() -> None:
    """Not where time ran out, which says so itself, and not those that were fitted and did not converge."""
    found = agreeing() | {3: candidate(3, -1.8, -200.0)}
    assert "that was ranked: compare larger ones." in str(recommend(found))
    said = str(recommend(found, ["The 60 seconds allowed were over: K = 4 not fitted, so this is the best so far."]))
    assert "compare larger ones" not in said and "K = 4 not fitted" in said
    said = str(recommend(found | {4: candidate(4, -1.7, None, converged=False)}))
    assert "compare larger ones" not in said and "K = 3 is the largest number of components that was ranked" in said
    assert "larger ones were fitted and did not converge" in said


def test_no_number_of_clusters_is_stated_where_it_is_uncertain() -> None:
    found = agreeing() | {3: candidate(3, -1.8, -200.0, clusters={2: 0.55, 3: 0.45})}
    said = recommend(found)
    assert said.headline == (
        "3 Gaussian components (full) that describe 2 or 3 clusters, depending on how far apart clusters must be."
    )
    assert said.n_clusters == 2 and "2 at 2 to 3 SDs (probability 0.55)" in str(said)
    assert "fewer clusters than components" not in str(said)


def test_fewer_t_components_that_predict_as_well_are_a_merge() -> None:
    """Two with long tails against three normal ones; nothing is said where normal ones need no more."""
    found = {
        "2 normal": candidate(2, -2.5, None),
        "3 normal": candidate(3, -2.01, None),
        "2 t": candidate(2, -2.0, None),
    }
    t = dataclasses.replace(found["2 t"], kind=Kind("full", "t"))
    said = recommend(found | {"2 t": t})
    assert said.headline == "2 t components (full) that describe 2 clusters."
    assert "3 Gaussian components predict no better than 2 t components: the others describe tails" in str(said)
    assert "tails" not in str(recommend({"2 normal": candidate(2, -2.1, None), "2 t": t}))


def test_levels_leave_the_number_of_clusters_unknown() -> None:
    """Components that are levels of an item: neither a number of clusters nor an inference from it is stated."""
    level = "In column q3 components 1, 2 have hardly more spread than rounding gives: they are levels."
    fits = {1: candidate(1, -3.0, -310.0, bic=5.0), 4: candidate(4, -2.0, -300.0, clusters={1: 0.9}, levels=(level,))}
    answer = recommend(fits)
    assert answer.headline == (
        "4 Gaussian components (full), some of which are levels of a column: the number of clusters is not known from "
        "them."
    )
    said = str(answer)
    assert "Clusters: not to be counted, since some components are levels." in said and f"K = 4: {level}" in said
    assert "fewer clusters than components" not in said


def test_probability_and_its_stability() -> None:
    found = {1: candidate(1, -2.0, 0.0, half=1.0, double=0.0), 2: candidate(2, -2.0, np.log(3.0), half=0.0)}
    np.testing.assert_allclose(probabilities(found), [0.25, 0.75])
    np.testing.assert_allclose(scale_table(found)[0.5], [np.e / (1 + np.e), 1 / (1 + np.e)])
    said = recommend(found)
    assert said.most_probable == 2 and said.stable is False
    assert "This depends on the prior SD of the means: K = 1 is most probable when it is halved (p = 0.73)." in str(
        said
    )


def test_unknown_scale_is_said() -> None:
    found = {1: candidate(1, -2.0, 0.0), 2: candidate(2, -2.0, 1.0, double=np.nan)}
    assert scale_table(found)[2.0].isna().all()
    said = recommend(found)
    assert said.stable is None and "with the prior SD of the means doubled is not known" in str(said)


def test_failed_fits_are_named_and_not_ranked() -> None:
    found = agreeing()
    found[3] = candidate(3, -1.0, 0.0, converged=False, verdict="Chains disagree.", problems=("no WAIC: too short",))
    said = recommend(found)
    assert said.label == 2 and said.most_probable == 2
    assert "K = 3 is not ranked. Chains disagree." in said.sentences
    assert "K = 3: no WAIC: too short" in said.sentences
    assert np.isnan(probabilities(found)[3])


def rough(k: int, elpd_i: Any, error: float, **options: Any) -> Candidate:
    return candidate(k, elpd_i, None, converged=False, rough=True, elpd_mcse=error, **options)


def test_what_the_answer_depends_on() -> None:
    """K = 2 is best by far; rough fits near it do not matter, if they are not smaller or much better."""
    found = {1: candidate(1, -3.0, None), 2: candidate(2, -2.0, None), 3: rough(3, -2.0, 0.5)}
    assert depends_on(found) is None
    assert "K = 3 (Monte Carlo SE of elpd 0.5). Errors of two standard errors would not change the" in str(
        recommend(found)
    )
    # It is named itself.
    assert depends_on({1: candidate(1, -3.0, None), 2: rough(2, -2.0, 0.5)}) == 2
    # Within two errors of leaving K = 2 behind by more than 4 and their own error: N rows, 3.5 nats better.
    better = -2.0 + 3.5 / N
    assert depends_on({2: candidate(2, -2.0, None), 3: rough(3, better, 0.5)}) == 3
    assert depends_on({2: candidate(2, -2.0, None), 3: rough(3, better, 0.2)}) is None
    # A smaller one that could come near the best.
    worse = -2.0 - 5.0 / N
    assert depends_on({2: rough(2, worse, 0.6), 3: candidate(3, -2.0, None)}) == 2
    assert depends_on({2: rough(2, worse, 0.4), 3: candidate(3, -2.0, None)}) is None
    said = str(recommend({2: candidate(2, -2.0, None), 3: rough(3, better, 0.5)}))
    assert "K = 3 could change the recommendation: compare again with effort='full'." in said


def test_monte_carlo_errors_widen_what_counts_as_well() -> None:
    """K = 2 is 5 nats below: not about as well, unless the draws leave as much open."""
    worse = -2.0 - 5.0 / N
    for error, k in ((0.1, 3), (4.0, 2)):
        found = {2: candidate(2, worse, None, elpd_mcse=error), 3: candidate(3, -2.0, None, elpd_mcse=error)}
        assert recommend(found).label == k


def test_what_was_left_undone_is_said() -> None:
    assert "The 3 seconds were over." in str(recommend(agreeing(), ["The 3 seconds were over."]))


def test_nothing_converged() -> None:
    found = {k: candidate(k, -2.0, 0.0, converged=False, verdict="Chains disagree.") for k in (1, 2)}
    said = recommend(found)
    assert said.headline.startswith(
        "No fit converged, do not rely on this: 1 Gaussian component (full) that describes 1"
    )


def test_without_evidence_or_loo() -> None:
    only_loo = recommend({1: candidate(1, -2.0, None), 2: candidate(2, -1.0, None)})
    assert only_loo.label == 2 and only_loo.most_probable is None and "is not known" in str(only_loo)
    only_evidence = recommend({1: candidate(1, None, 0.0), 2: candidate(2, None, 9.0)})
    assert only_evidence.label == 2 and "no fit has LOO" in str(only_evidence)
    neither = {
        1: dataclasses.replace(candidate(1, None, None), bic=9.0),
        2: dataclasses.replace(candidate(2, None, None), bic=7.0),
    }
    assert recommend(neither).label == 2 and "By BIC, which is all that is known" in str(recommend(neither))
    with pytest.raises(InputError, match="no fit"):
        recommend({})


def test_structures_with_equal_k_fewest_parameters_first() -> None:
    found: dict[int | str, Candidate] = {
        "2 full": candidate(2, -2.0, 0.0),
        "2 diag": candidate(2, -2.01, 1.0, structure="diag", n_parameters=4),
    }
    said = recommend(found)
    assert said.label == "2 diag" and "K = 2 (full) has the highest expected log" in str(said)


def test_two_estimates_of_one_bayes_factor_that_differ() -> None:
    found = agreeing()
    for value, told in ((4.05, False), (5.0, True)):
        found[3] = candidate(3, -2.01, -234.0, bic=420.0, empty_ratio=EmptyComponentRatio(value, 0.01, 900.0, 3))
        assert ("sample more draws" in str(recommend(found))) is told


def test_aicc() -> None:
    assert aicc(10.0, 2, 10.0) == pytest.approx(10.0 + 12.0 / 7.0)
    assert aicc(10.0, 9, 10.0) == np.inf


@pytest.mark.parametrize(
    ("elpds", "evidences", "last"),
    [
        ([-3.0, -2.0, -2.0, -2.0, -2.0, -1.0], [-320.0, -230.0, -234.0, -239.0, -245.0, 0.0], 4),  # fell at 3 and at 4
        ([-3.0, -2.0, -2.0, -2.0, -2.0, -2.0], [-320.0, -230.0, -232.0, -234.0, -236.0, -240.0], 5),  # 232: not clearly
        ([-3.0, -2.0, -2.0, -1.8, -1.8, -1.8], [-320.0, -230.0, -234.0, -239.0, -245.0, -250.0], 6),  # elpd rose at 4
        ([-3.0, -2.0, -2.0, -2.0, -2.0, -2.0], [-320.0, -230.0, None, None, -245.0, -250.0], 4),  # none, and no gain
        ([-3.0, -2.0, -2.0, -2.0, -2.0, -2.0], [-320.0, -310.0, -300.0, -290.0, -280.0, -270.0], 6),  # rises still
    ],
)  # fmt: skip
def test_auto_ends_where_two_in_a_row_gain_nothing(elpds: Any, evidences: Any, last: int) -> None:
    kind = Kind("full")
    pairs = pairs_of(list(range(1, 7)), [kind])
    found: dict[Any, Any] = {}
    for wanted in rounds(pairs, found, True):
        for k, _ in wanted:
            found[k, kind] = None, candidate(k, elpds[k - 1], evidences[k - 1])
    assert max(k for k, _ in found) == last
    assert (at_ceiling(pairs, found) != ()) == (evidences[-1] == -270.0)
    assert list(rounds(pairs, {}, False)) == [pairs]
