"""How far is one column from a reference? The statistics that detectors are made of.

`Numbers.ks` and `Names.chi2` compare with a reference that is sorted or counted once; `psi` compares two
histograms, whose bins `edges` finds. All take what is missing for a value of its own.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib import checks
from mlsys_lib.checks import Array


class Numbers:
    """A reference column of numbers, sorted once.

    Parameters
    ----------
    values : array of shape (n_reference,)
        Missing ones count as larger than any number, so a feed that dies is a shift as well.

    Raises
    ------
    ValueError
        If there are none, or they are no numbers.

    Examples
    --------
    >>> Numbers([1, 2, 3, 4]).ks([3, 4, 5, None])
    0.5
    """

    def __init__(self, values: npt.ArrayLike) -> None:
        self._values, self._below = _distribution(values, "values")

    def ks(self, new: npt.ArrayLike) -> float:
        """The Kolmogorov-Smirnov statistic: the largest distance of the two distribution functions.

        Parameters
        ----------
        new : array of shape (n_new,)

        Returns
        -------
        float
            In [0, 1]. What `scipy.stats.ks_2samp` gives with infinity for missing values.

        Notes
        -----
        Between two new values their function is flat and the reference's only rises, so the distance is
        largest right at a new value, just before one, or where only missing values follow.
        """
        found, below = _distribution(new, "new")
        at = self._below[np.searchsorted(self._values, found, side="right")]
        before = self._below[np.searchsorted(self._values, found, side="left")]
        gaps = [at - below[1:], before - below[:-1], self._below[-1:] - below[-1]]
        return float(np.abs(np.concatenate(gaps)).max())


def _distribution(values: npt.ArrayLike, name: str) -> tuple[Array, Array]:
    """The distinct numbers, and the share below the first, below each further one, and of all of them."""
    column = checks.floats(values)
    checks.same_length(**{name: column})
    found, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    return found, np.append(0, np.cumsum(counts)) / len(column)


class Names:
    """A reference column of names, counted once.

    Parameters
    ----------
    values : array of shape (n_reference,)
        A missing one is a name of its own.

    Raises
    ------
    ValueError
        If there are none.

    Examples
    --------
    >>> round(Names(["UA", "UA", "DL"]).chi2(["UA", "UAL", "UAL"]), 3)
    3.333
    """

    def __init__(self, values: npt.ArrayLike) -> None:
        self.counts = _counts(values, "values")

    def beside(self, new: npt.ArrayLike) -> tuple[Array, Array]:
        """The counts of the reference and of the new, name by name."""
        both = pd.concat([self.counts, _counts(new, "new")], axis=1).fillna(0).to_numpy(float)
        return both[:, 0], both[:, 1]

    def chi2(self, new: npt.ArrayLike) -> float:
        """Pearson's chi-squared statistic of the table reference / new by name.

        Parameters
        ----------
        new : array of shape (n_new,)

        Returns
        -------
        float
            Zero or more. What `scipy.stats.chi2_contingency` gives.
        """
        had, seen = self.beside(new)
        old, now = had.sum(), seen.sum()
        return float(np.sum((had * now - seen * old) ** 2 / (had + seen)) / old / now)


def _counts(values: npt.ArrayLike, name: str) -> pd.Series:
    column = pd.Series(values)
    checks.same_length(**{name: column})
    return column.astype(object).where(column.notna(), np.nan).value_counts(dropna=False)


def edges(values: npt.ArrayLike, *, bins: int = 10) -> Array:
    """Where the bins of a histogram end, such that the reference has about as many in each.

    Parameters
    ----------
    values : array of shape (n_reference,)
        What is missing or infinite counts for nothing.
    bins : int, default 10

    Returns
    -------
    array of shape (n_ends,), increasing
        A value that fills a bin has it to itself: else the bin of a column that is mostly zero would be
        zero and all above it, and no shift would leave it.

    Examples
    --------
    >>> edges([1, 2, 3, 4, 5, 6], bins=3).round(2)
    array([2.67, 4.33])
    >>> mostly_zero = edges([0, 0, 0, 0, 0.5, 0.9], bins=3)
    >>> histogram([0, 0, 0, 0.1, 0.1], mostly_zero)
    array([0, 3, 2, 0, 0])
    """
    checks.within(bins, 1, np.inf, "bins")
    column = checks.floats(values)
    known: Array = column[np.isfinite(column)]
    if not len(known):
        return known
    cuts, times = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)), return_counts=True)
    filling = cuts[times > 1]
    ends: Array = np.unique([*cuts[1:-1], *filling, *np.nextafter(filling, np.inf)])
    return ends


def histogram(values: npt.ArrayLike, ends: Array) -> npt.NDArray[np.intp]:
    """Counts by bin; those of two parts of the data add up to those of the whole.

    Parameters
    ----------
    values : array of shape (n_values,)
    ends : array of shape (n_ends,)
        As `edges` gives them. An end belongs to the bin above it.

    Returns
    -------
    array of shape (n_ends + 2,), int
        From the lowest bin to the highest; the last counts missing values.

    Examples
    --------
    >>> histogram([1, 2, 3, np.nan], np.array([2.0]))
    array([1, 2, 1])
    """
    column = checks.floats(values)
    place = np.searchsorted(ends, column, side="right")
    return np.bincount(place + np.isnan(column), minlength=len(ends) + 2)


def psi(expected: npt.ArrayLike, actual: npt.ArrayLike) -> float:
    """The population stability index of two histograms.

    Parameters
    ----------
    expected, actual : arrays of shape (n_bins,)
        Counts. Half a row is added to each, so that an empty bin gives no infinity.

    Returns
    -------
    float
        Zero or more. The usual "0.1 is some, 0.25 is much" has no derivation; see `calibrate`.

    References
    ----------
    Siddiqi (2006), *Credit Risk Scorecards*; Yurdakul (2018), "Statistical properties of the population
    stability index".

    Examples
    --------
    >>> round(psi([50, 50], [80, 20]), 2)
    0.41
    """
    checks.same_length(expected=expected, actual=actual)
    old, new = (np.asarray(counts, float) + 0.5 for counts in (expected, actual))
    old, new = old / old.sum(), new / new.sum()
    return float(np.sum((new - old) * np.log(new / old)))
