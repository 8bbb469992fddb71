"""SMART-LCA: standards for more accuracy in reporting of latent class analysis (van Lissa et al. 2023)."""

from __future__ import annotations

from bayesgmm.reporting.checklists import facts
from bayesgmm.reporting.checklists.items import Answer, Checklist, Item, at, authors, if_compared, unless
from bayesgmm.reporting.numbers import join
from bayesgmm.reporting.sections.subject import Subject

__all__ = ["CHECKLIST"]

_NO_CATEGORIES = unless("all variables are numbers")
_NO_TESTS = unless("nothing is tested against zero: posterior intervals and probabilities are given")


def _goal(subject: Subject) -> Answer:
    if subject.compared is None:
        return Answer("The number of components was given, not chosen from these data.", "answer")
    return Answer("Exploratory: numbers of components were compared.", "choice")


def _idiosyncrasies(subject: Subject) -> Answer:
    outside = subject.check.outside
    return Answer(f"{len(outside)} statistics of the data lie outside what the model replicates.", "predictive-check")


def _largest(subject: Subject) -> Answer:
    k = max(fit.n_components for fit in subject.fits.values())
    chosen = subject.fit.n_components
    beyond = (
        f"the answer, K = {chosen}, is the largest: compare more components"
        if chosen == k > 1
        else f"the answer, K = {chosen}, lies below it"
    )
    return Answer(f"Largest K fitted: {k}; {beyond}.", "choice")


def _convergence(subject: Subject) -> Answer:
    done = [str(fit.posterior_.attrs.get("notes", "")) for fit in subject.fits.values()]
    if not any(done):
        return Answer("No fit needed more than the first run.", "convergence")
    return Answer("What was done besides the first run stands with each fit.", "convergence")


def _missing_test(subject: Subject) -> Answer:
    if subject.fit.table_.is_complete:
        return Answer("Not applicable, because no cell is missing.")
    return Answer(
        "Not applicable, because the density of the observed cells is valid whatever a test of missing completely at "
        "random says, as long as cells are missing at random."
    )


def _handling(subject: Subject) -> Answer:
    if subject.fit.table_.is_complete:
        return Answer("Not applicable, because no cell is missing.")
    return Answer("An observation counts by the density of the cells it has (full information likelihood).", "question")


def _names(subject: Subject) -> Answer:
    return Answer("Components have numbers; names are for the authors to give, as shorthand.", "clusters")


def _criteria(subject: Subject) -> Answer:
    assert subject.compared is not None
    label = subject.compared.recommendation.label
    return Answer(f"Predictive density, evidence, BIC, ICL, AICc, each explained; recommended: {label}.", "choice")


def _eliminated(subject: Subject) -> Answer:
    assert subject.compared is not None
    failed = [str(label) for label, c in subject.compared.candidates.items() if not (c.converged or c.rough)]
    said = f"not ranked: {join(failed)}" if failed else "every fit converged"
    return Answer(f"Fits that did not converge are not ranked; {said}.", "convergence")


CHECKLIST = Checklist(
    "SMART-LCA",
    "Items of the SMART-LCA checklist, shortened: van Lissa, C. J., Garnier-Villarreal, M. and Anadria, D. (2023). "
    "Recommended practices in latent class analysis using the open-source R-package tidySEM. Structural Equation "
    "Modeling. doi:10.1080/10705511.2023.2250920; numbered as in the vignette SMART-LCA Checklist of tidySEM. Items "
    "that name functions of R are answered for what they ask.",
    (
        Item("1a", "Research question and study design suitable for latent class analysis",
             at("question", "The statistical question; the design of the study is for the authors to describe.")),
        Item("1b", "Confirmatory or exploratory", _goal),
        Item("1c", "Valid and reliable indicators of an appropriate type",
             at("question", "All variables are numbers; their validity is for the authors to argue.")),
        Item("1d", "Sample size", at("choice", facts.sample_size)),
        Item("1e", "Pre-registration (optional)", authors("whether the analysis was pre-registered")),
        Item("2a", "Distributions and scales of the indicators",
             at("question", "Range, mean, sd and distinct values of every variable.")),
        Item("2b", "Distributions match the intended measurement level",
             at("question", "Distinct values and apparent recording step of every variable.")),
        Item("2c", "Indicators on similar scales", at("question", facts.scaling)),
        Item("2d", "Distributional idiosyncrasies, such as extreme skew",
             at("predictive-check", "Skewness, kurtosis and extremes of every variable.")),
        Item("3a", "Continuous variables are numbers on an interval scale",
             at("question", "Columns that are no numbers are not taken.")),
        Item("3b", "Ordered and binary variables converted", _NO_CATEGORIES),
        Item("3c", "Nominal variables converted to dummies", _NO_CATEGORIES),
        Item("3d", "Indicators on very different scales rescaled", at("question", facts.scaling)),
        Item("3e", "Transformations (optional)", authors("transformations made before the fit; the fit makes none")),
        Item("4a", "Proportion missing of each variable", at("question", facts.missing)),
        Item("4b", "Test of missing at random", _missing_test),
        Item("4c", "How missing values are handled", _handling),
        Item("5a", "Sensible alternative specifications listed (exploratory)", if_compared(at("choice", facts.kinds))),
        Item("5b", "Alternative specifications justified by theory (confirmatory)",
             unless("no hypothesis was stated; a confirmatory study gives its own")),
        Item("5c", "Model specification, so that all parameters are clear",
             at("prior", "Model, prior, formulas and number of parameters.")),
        Item("5d", "Model can capture distributional idiosyncrasies (optional)", _idiosyncrasies),
        Item("6a", "Maximum number of classes justified", if_compared(_largest)),
        Item("6b", "1 to K classes estimated (exploratory)", if_compared(at("choice", facts.numbers))),
        Item("6c", "Theoretical number of classes and benchmarks (confirmatory)",
             unless("no theoretical number was stated; a confirmatory study gives its own")),
        Item("7a", "Criteria for the number of classes: information criteria and others", if_compared(_criteria)),
        Item("7b", "Criteria: likelihood-ratio tests",
             unless("fits are compared by evidence and predictive density, not by tests")),
        Item("7c", "Criteria: theoretically expected solution", authors("the solution that theory expects, if any")),
        Item("8a", "Eliminating models: convergence", if_compared(_eliminated)),
        Item("8b", "Eliminating models: classification diagnostics",
             at("choice", "Relative entropy and smallest mean posterior probability of every fit; none is a reason to "
                "leave a fit out.")),
        Item("8c", "Eliminating models: local identifiability",
             at("choice", "Smallest class and observations for each parameter of every fit.")),
        Item("8d", "Eliminating models: interpretability", authors("whether the classes make sense")),
        Item("9a", "Free open-source software", at("versions", "bayesgmm (Apache-2.0) and what it rests on, with "
             "versions.")),
        Item("9b", "Literature, software and data cited",
             at("methods", "References and BibTeX; the source of the data is for the authors to cite.")),
        Item("9c", "Analysis code shared", at("again", "The whole script and the command line.")),
        Item("9d", "Data or a synthetic data set shared",
             at("question", "Fingerprint of the data; fit.sample(n) gives synthetic observations from the model.")),
        Item("9e", "Research output findable, accessible, interoperable, reusable",
             authors("where data and code are kept")),
        Item("9f", "Workflow for Open Reproducible Code in Science (optional)", unless("it is a package of R")),
        Item("10a", "Method of estimation", at("methods", "Starting values, sampler and draws.")),
        Item("10b", "Convergence of all models assessed", at("convergence", facts.converged)),
        Item("10c", "What was done about non-convergence (optional)", _convergence),
        Item("11a", "Fit of all models in a table",
             at("choice", "Tables of scores; of one fit, of its likelihood.")),
        Item("11b", "Classification diagnostics of all models", at("choice", "Table of sizes, of every fit.")),
        Item("11c", "Minimal class proportion of all models", at("choice", "Smallest class of every fit.")),
        Item("11d", "Class proportions of the final model", at("clusters", facts.proportions)),
        Item("11e", "Estimates, standard errors and intervals of the parameters",
             at("clusters", "Posterior mean, sd and credible interval of every parameter.")),
        Item("11f", "Thresholds as conditional probabilities (optional)", _NO_CATEGORIES),
        Item("11g", "Class names, as shorthand", _names),
        Item("12a", "Tests of parameters against zero", _NO_TESTS),
        Item("12b", "Study-wide Type I error", _NO_TESTS),
        Item("12c", "Other null hypotheses, Wald and likelihood-ratio tests (optional)", _NO_TESTS),
        Item("12d", "Estimates against hypothesised values (optional)",
             unless("no values were hypothesised; the intervals show which are excluded")),
        Item("13a", "Raw data visualised, to see separability and fit",
             at("clusters", "Figure: observations by class with the ellipses of the components.")),
        Item("13b", "Point estimates visualised", at("clusters", "Figures: profile and ellipses.")),
        Item("13c", "Confidence bounds visualised",
             at("clusters", "Intervals in the profile, posterior draws of the ellipses.")),
        Item("13d", "Multivariate distributions (optional)", at("clusters", "Figure: pairs of variables.")),
        Item("14", "Classification inaccuracy accounted for in follow-up analyses",
             at("assignments", "No follow-up analysis is part of this report; the posterior probabilities of "
                "the classes are there to be used in one.")),
    ),
)  # fmt: skip
