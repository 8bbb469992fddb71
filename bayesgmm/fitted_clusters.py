"""Who belongs where: assignment, partition, pairs, merging. Each method delegates to one function of `clustering`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.arguments import check_choice, check_probability
from bayesgmm.fitted_base import FittedBase

if TYPE_CHECKING:
    from bayesgmm.clustering.assignment import Assignment
    from bayesgmm.clustering.classification import Classification
    from bayesgmm.clustering.merging import Merging
    from bayesgmm.clustering.partition.estimate import Partition


__all__ = ["FittedClusters"]

Array = NDArray[np.float64]

_LEVELS = ("component", "cluster")


class FittedClusters(FittedBase):
    """Who belongs where, of a fit."""

    def assignment(self, X: Any = None, ci_prob: float = 0.95, *, level: str = "component") -> Assignment:
        """Who belongs where, and how sure: a row a point.

        Parameters
        ----------
        X : table (n, D) or None
            None takes the rows of the fit; other rows keep their names.
        ci_prob : float
            Probability of the intervals.
        level : {"component", "cluster"}
            Whether components that describe one cluster (`merging`) count as one.

        Returns
        -------
        Assignment
            ``table``, a row a point: label, its probability with an interval over the draws, the second component, and
            the entropy split into overlap and parameter uncertainty; ``components``, a row a component: size with an
            interval.

        Raises
        ------
        InputError
            If `X` lacks columns of the fit, or an option is out of range.

        See Also
        --------
        bayesgmm.clustering.assignment.assignment : the function behind it, with the definitions.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> table = fit.assignment(X[:2]).table
        >>> table["ambiguous"].tolist()
        [False, False]
        """
        from bayesgmm.clustering.assignment import assignment

        check_probability(ci_prob)
        rows, names = self._named_rows(X)
        found = assignment(self.posterior_, rows, ci_prob, row_names=names, merge=self._merge(level))
        return self._judged(found)

    def classification(self) -> Classification:
        """Sizes of the classes and how surely observations belong to them, as latent-class programs report them.

        Returns
        -------
        Classification
            A row a class: size, share, mean and range of the probabilities of its observations; and the relative
            entropy.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> found = fit.classification()
        """
        from bayesgmm.clustering.classification import classify

        self._check_fitted()
        return self._judged(classify(self._own_responsibilities, self.table_.weights, self._arrays.n_components))

    def partition(
        self, X: Any = None, *, loss: str = "vi", ci_prob: float = 0.95, level: str = "component"
    ) -> Partition:
        """One partition for the posterior, and how far the posterior strays from it.

        Parameters
        ----------
        X : table (n, D) or None
            None takes the rows of the fit; other rows keep their names.
        loss : {"vi", "binder"}
            Whose posterior expectation the partition minimises: variation of information, or Binder's loss.
        ci_prob : float
            Probability of the credible ball.
        level : {"component", "cluster"}
            Whether components that describe one cluster (`merging`) count as one.

        Returns
        -------
        Partition
            ``labels``, ``expected_loss``, ``ball`` with its bounds, ``occupied``, and ``agreement(labels)`` with known
            labels.

        Raises
        ------
        InputError
            If `X` lacks columns of the fit, or an option is out of range.

        See Also
        --------
        bayesgmm.partition_from_labels : the same for label draws from anywhere.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> fit.partition().labels.value_counts().tolist()
        [175, 97]
        """
        from bayesgmm.clustering.partition.loss import LOSSES
        from bayesgmm.clustering.partition.of_posterior import partition

        check_choice(loss, "loss", LOSSES)
        check_probability(ci_prob)
        rows, names = self._named_rows(X)
        merge = self._merge(level)
        return self._judged(partition(self.posterior_, loss, rows=rows, ci_prob=ci_prob, row_names=names, merge=merge))

    def coclustering(self, rows: ArrayLike | None = None, *, level: str = "component") -> Array:
        """Probability that two rows belong together, which does not depend on how components are numbered.

        Parameters
        ----------
        rows : int array (n,) or None
            Positions of the rows; None takes all, up to 5,000.
        level : {"component", "cluster"}
            Whether components that describe one cluster (`merging`) count as one.

        Returns
        -------
        array (n, n)
            1 on the diagonal.

        Raises
        ------
        InputError
            If there are too many rows for a matrix, or a position is out of range.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> fit.coclustering([0, 1, 2]).round(2)
        array([[1., 0., 1.],
               [0., 1., 0.],
               [1., 0., 1.]])
        """
        from bayesgmm.clustering.coclustering import coclustering

        self._check_fitted()
        return coclustering(self.posterior_, rows=rows, merge=self._merge(level))

    def merging(self, *, separation: float = 2.5) -> Merging:
        """Which components describe one cluster, in every draw, and how far apart they are.

        Parameters
        ----------
        separation : float
            Groups up to so many standard deviations apart are one cluster; 2 to 3 is usual.

        Returns
        -------
        Merging
            ``n_clusters``, posterior of the number of clusters, and ``by_separation``, for every separation; ``stable``
            and ``numbers``, whether one number holds, or between which it lies; ``tree``, the merges and their
            separations; ``merge`` (K,), the cluster of each component.

        Raises
        ------
        InputError
            If `separation` does not lie between 0 and 12.

        See Also
        --------
        bayesgmm.clustering.merging.merging : the function behind it, with the rule and its limits.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> X = bg.datasets.load_faithful()
        >>> fit = bg.BayesianGMM(2, inference="laplace", random_seed=1, progressbar=False).fit(X)
        >>> fit.merging().merge
        array([0, 1])
        """
        from bayesgmm.clustering.merging import check_separation, merging

        check_separation(separation)
        return self._judged(self._once("merging", lambda: merging(self.posterior_)).at(separation))

    def _merge(self, level: str) -> NDArray[np.int64] | None:
        check_choice(level, "level", _LEVELS)
        return self.merging().merge if level == "cluster" else None
