"""GRoLTS: guidelines for reporting on latent trajectory studies (van de Schoot et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable

from bayesgmm.reporting.checklists import facts
from bayesgmm.reporting.checklists.items import Answer, Checklist, Item, at, if_compared, unless
from bayesgmm.reporting.sections.subject import Subject

__all__ = ["CHECKLIST"]

_NO_TIME = unless("the mixture has no variable of time")


def _where_missing(text: str, section: str = "question") -> Callable[[Subject], Answer]:
    """Applies where cells are missing."""

    def found(subject: Subject) -> Answer:
        if subject.fit.table_.is_complete:
            return Answer("Not applicable, because no cell is missing.")
        return Answer(text, section)

    return found


CHECKLIST = Checklist(
    "GRoLTS",
    "Items of the GRoLTS checklist: van de Schoot, R., Sijbrandij, M., Winter, S. D., Depaoli, S. and Vermunt, J. K. "
    "(2017). The GRoLTS-Checklist: Guidelines for reporting on latent trajectory studies. Structural Equation "
    "Modeling 24, 451-467. doi:10.1080/10705511.2016.1247646. It was written for trajectories; means over variables "
    "take the place of trajectories here.",
    (
        Item("1", "Metric of time used in the statistical model", _NO_TIME),
        Item("2", "Mean and variance of time within a wave", _NO_TIME),
        Item("3a", "Missing data mechanism", _where_missing("Cells are assumed missing at random.")),
        Item("3b", "Variables related to attrition or missing data",
             _where_missing("Missing cells are counted by variable; what they are related to is for the authors to "
                            "say.")),
        Item("3c", "How missing data were dealt with",
             _where_missing("An observation counts by the density of the cells it has.")),
        Item("4", "Distribution of the observed variables", at("question", "Table of variables; histograms in the "
             "posterior predictive check.")),
        Item("5", "Software", at("versions", "Named with versions, and cited in the methods paragraph.")),
        Item("6a", "Alternative specifications of within-class heterogeneity",
             if_compared(at("choice", facts.kinds))),
        Item("6b", "Alternative specifications of between-class differences in the variance-covariance matrix",
             if_compared(at("choice", facts.kinds))),
        Item("7", "Alternative shapes or functional forms of the trajectories", _NO_TIME),
        Item("8", "If covariates were used, can the analyses be replicated?", unless("the mixture has no covariates")),
        Item("9", "Number of random start values and final iterations", at("convergence", facts.starts)),
        Item("10", "Model comparison and selection tools, from a statistical perspective",
             if_compared(at("choice", "Criteria are named and explained."))),
        Item("11", "Number of fitted models, including a one-class solution", if_compared(at("choice", facts.numbers))),
        Item("12", "Number of cases per class for each model", at("choice", "Table of sizes, n and share, of every "
                                                                            "fit.")),
        Item("13", "If classification is the goal, entropy", at("assignments", facts.entropy)),
        Item("14a", "Plot with the estimated mean trajectories of the final solution",
             at("clusters", "Figure: profile of the means over the variables.")),
        Item("14b", "Plots with the estimated mean trajectories of each model",
             if_compared(at("choice", "Figure: profiles of the fits side by side."))),
        Item("14c", "Plot of estimated means of the final model with observed individuals, by class",
             at("clusters", "Figure: observations by class with the ellipses of the components.")),
        Item("15", "Numerical description of the final solution (means, SD or SE, n, CI)",
             at("clusters", "Tables of proportions, means, standard deviations and correlations, with intervals.")),
        Item("16", "Syntax files", at("again", "The whole script and the command line.")),
    ),
)  # fmt: skip
