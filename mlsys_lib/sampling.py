"""Which examples, with which labels, and what a choice does to the probabilities that a model learns.

Samples are positions (integers for ``rows.iloc``), so that they fit any table. Votes of labelling
functions are 1 (late), 0 (not late) or missing (no opinion).
"""

import hashlib
import random
from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlsys_lib import checks
from mlsys_lib.checks import Array
from mlsys_lib.world import local_day

Item = TypeVar("Item")
_CARD = ["flight_id", "carrier", "sched_dep", "decided_at", "late", "label_status"]
_CARD_MISSING = 0.01  # the card names the features that lack more than this share


def reservoir(stream: Iterable[Item], k: int, *, seed: int = 0) -> list[Item]:
    """A uniform sample of a stream whose length nobody knows, in one pass and room for `k` items.

    Parameters
    ----------
    stream : iterable
        Read once.
    k : int
        How many to keep.
    seed : int, default 0

    Returns
    -------
    list of at most k items
        All of a stream that is shorter. Each item of the stream is in it with the same probability.

    Raises
    ------
    ValueError
        If `k` is no whole number of 1 or more.

    References
    ----------
    Vitter (1985), "Random sampling with a reservoir", ACM Transactions on Mathematical Software 11;
    algorithm R.

    Examples
    --------
    Three arrivals of a day, as they are reported:

    >>> from mlsys_lib import World
    >>> landed = World("2013-04-23 04:00").arrivals(since="2013-04-22 04:00")
    >>> len(landed), reservoir(landed.flight_id, k=3)
    (902, ['2013-04-22/DL947/LGA', '2013-04-22/UA1633/EWR', '2013-04-21/B6608/JFK'])
    """
    checks.whole(k, 1, "k")
    rng, kept = random.Random(seed), []
    for seen, item in enumerate(stream):
        if seen < k:
            kept.append(item)
        elif (place := rng.randrange(seen + 1)) < k:
            kept[place] = item
    return kept


def stratified(
    strata: npt.ArrayLike, n: int, *, equal: bool = False, seed: int = 0
) -> npt.NDArray[np.intp]:
    """A sample in which every stratum has its share, or as nearly the same number as there are rows.

    Parameters
    ----------
    strata : array of shape (n_rows,)
        The stratum of each row, such as its airline; those without a name are a stratum, too.
    n : int
        How many rows to draw, without replacement.
    equal : bool, default False
        As many rows from each stratum, small ones whole, instead of a share each.
    seed : int, default 0

    Returns
    -------
    array of shape (n,), positions in increasing order

    Raises
    ------
    ValueError
        If `n` is no whole number from 0 to n_rows.

    Notes
    -----
    Rows are ranked at random within their stratum, and the `n` smallest ranks win: as they are, or
    divided by the size of the stratum. The latter is Webster's method of giving out seats.

    Examples
    --------
    >>> from mlsys_lib import World
    >>> day = World("2013-04-23 04:00").arrivals(since="2013-04-22 04:00")
    >>> for equal in (False, True):
    ...     chosen = day.iloc[stratified(day.carrier, n=60, equal=equal)]
    ...     print(chosen.carrier.value_counts().reindex(["UA", "VX", "YV"], fill_value=0).to_dict())
    {'UA': 12, 'VX': 1, 'YV': 0}
    {'UA': 5, 'VX': 5, 'YV': 1}
    """
    names = _cells(strata, "strata")
    checks.whole(n, 0, "n", high=len(names))
    shuffled = names.sample(frac=1, random_state=seed)
    groups = shuffled.groupby(shuffled, sort=False, dropna=False)
    rank = groups.cumcount() + 0.5
    if not equal:
        rank /= groups.transform("size")
    return np.sort(rank.sort_values(kind="stable").index.to_numpy()[:n])


def importance_weights(source: npt.ArrayLike, target: npt.ArrayLike) -> Array:
    """Weights under which one sample has the mix of another.

    Parameters
    ----------
    source : array of shape (n_source,)
        The cell of each row to be weighted, such as its airline and hour; what has no name is a cell, too.
    target : array of shape (n_target,)
        The cells of the rows whose mix is wanted.

    Returns
    -------
    array of shape (n_source,)
        Share of the row's cell in the target over its share in the source. Their mean is the share of
        the target that the source can stand for: below 1 where the target has cells of its own.

    Raises
    ------
    ValueError
        If one of the two is empty.

    References
    ----------
    Shimodaira (2000), "Improving predictive inference under covariate shift by weighting the
    log-likelihood function", Journal of Statistical Planning and Inference 90.

    Examples
    --------
    >>> importance_weights(["noon", "noon", "night", "noon"], ["noon", "night"]).round(2).tolist()
    [0.67, 0.67, 2.0, 0.67]
    """
    here, there = _cells(source, "source"), _cells(target, "target")
    if here.empty or there.empty:
        raise ValueError(f"{len(here)} rows of source and {len(there)} of target: give both")
    both = pd.concat([here, there], ignore_index=True)
    cell = both.groupby(both, sort=False, dropna=False).ngroup()
    here, there = cell[: len(here)], cell[len(here) :]
    ratio = there.value_counts(normalize=True) / here.value_counts(normalize=True)
    return here.map(ratio.fillna(0.0)).to_numpy(float)


def effective_size(weights: npt.ArrayLike) -> float:
    """How many equally weighted rows would say as much about a mean as these do.

    Parameters
    ----------
    weights : array of shape (n_rows,), zero or more

    Returns
    -------
    float
        Between 1 and n_rows.

    Raises
    ------
    ValueError
        If a weight is negative, missing or infinite, or all are zero.

    References
    ----------
    Kish (1965), *Survey Sampling*, section 11.7.

    Examples
    --------
    >>> effective_size([1, 1, 1, 1]), round(effective_size([1, 1, 1, 9]), 2)
    (4.0, 1.71)
    """
    w = checks.numbers(weights, "weights")
    if not (w >= 0).all() or not w.any():
        raise ValueError(
            f"weights must be zero or more, and one above zero; the least is {w.min(initial=0.0)}"
        )
    w = w / w.max()  # so that squares neither vanish nor overflow
    return float(w.sum() ** 2 / (w**2).sum())


def score_rules(said: pd.DataFrame, late: npt.ArrayLike) -> pd.DataFrame:
    """How often each rule votes, how often another contradicts it, how often it is right.

    Parameters
    ----------
    said : pandas.DataFrame of shape (n_rows, n_rules)
        Votes: 1 late, 0 not late, missing where a rule has no opinion.
    late : array of shape (n_rows,), 0 or 1
        Labels by hand, for this purpose only.

    Returns
    -------
    pandas.DataFrame of shape (n_rules, 3)
        `coverage` and `conflict` as shares of all rows, `accuracy` of the votes given (missing where a
        rule never votes).

    Raises
    ------
    ValueError
        If the labels are not as many as the rows, or a vote or a label is something else than 0 or 1.

    References
    ----------
    Ratner et al. (2017), "Snorkel: rapid training data creation with weak supervision", PVLDB 11.

    Examples
    --------
    >>> said = pd.DataFrame({"fog": [1, 1, np.nan], "early": [0, np.nan, 0]})
    >>> score_rules(said, late=[0, 1, 0]).round(2).to_dict("index")
    {'fog': {'coverage': 0.67, 'conflict': 0.33, 'accuracy': 0.5}, 'early': {'coverage': 0.67, 'conflict': 0.33, 'accuracy': 1.0}}
    """
    checks.same_length(said=said, late=late)
    votes, truth = _votes(said), checks.binary(late, "late")
    voted = votes.notna()
    disputed = (votes == 1).any(axis=1) & (votes == 0).any(axis=1)
    right = votes.eq(truth, axis=0).where(voted)
    found = {
        "coverage": voted.mean(),
        "conflict": voted.mul(disputed, axis=0).mean(),
        "accuracy": right.astype(float).mean(),
    }
    return pd.DataFrame(found)


def majority(said: pd.DataFrame) -> Array:
    """The share of the votes given that say late: above a half, the majority does.

    Parameters
    ----------
    said : pandas.DataFrame of shape (n_rows, n_rules)
        Votes: 1 late, 0 not late, missing where a rule has no opinion.

    Returns
    -------
    array of shape (n_rows,), in [0, 1]
        Missing where no rule has an opinion.

    Raises
    ------
    ValueError
        If a vote is something else than 0, 1 or missing.

    Examples
    --------
    >>> majority(pd.DataFrame({"fog": [1, np.nan], "early": [0, np.nan]})).tolist()
    [0.5, nan]
    """
    return _votes(said).mean(axis=1).to_numpy(float)


def correct_prior(p: npt.ArrayLike, trained: float, actual: float) -> Array:
    """Probabilities for another share of late flights than the model was trained on.

    Parameters
    ----------
    p : array of shape (n_flights,), probability in [0, 1]
        Of a model whose training set had been over- or undersampled by label.
    trained : float, in (0, 1)
        The share of late flights in the set that it was trained on.
    actual : float, in (0, 1)
        The share where it is used.

    Returns
    -------
    array of shape (n_flights,), probability in [0, 1]
        In the same order as before: ranking does not change.

    Raises
    ------
    ValueError
        If a share is not strictly between 0 and 1, or a probability lies outside.

    Notes
    -----
    The odds are multiplied by the ratio of the two odds. That holds where late flights look alike in
    both sets, and other flights do, too (prior shift).

    References
    ----------
    Elkan (2001), "The foundations of cost-sensitive learning", IJCAI 17, theorem 2.

    Examples
    --------
    >>> correct_prior([0.5, 0.8], trained=0.5, actual=0.25).round(3).tolist()
    [0.25, 0.571]
    """
    checks.within(trained, 0, 1, "trained", inclusive=False)
    checks.within(actual, 0, 1, "actual", inclusive=False)
    probability = checks.probabilities(p, "p")
    late, other = probability * actual / trained, (1 - probability) * (1 - actual) / (1 - trained)
    corrected: Array = late / (late + other)
    return corrected


def data_card(rows: pd.DataFrame, features: Iterable[str], **stated: str) -> str:
    """What a training set is, in a page of Markdown: counted here, or stated by you.

    Parameters
    ----------
    rows : pandas.DataFrame of shape (n_rows, n_columns)
        `flight_id`, `carrier`, `sched_dep`, `decided_at`, `late`, `label_status`, as
        `mlsys_lib.features.batch` gives them, censored and pending ones included.
    features : iterable of str
        The columns that a model will see.
    **stated : str
        What cannot be counted: ``label="..."``, ``not_for="..."``. The names become headings, and are none
        of those that are counted.

    Returns
    -------
    str
        Its last line is a fingerprint of the ids and labels used: another set, another fingerprint.

    Raises
    ------
    ValueError
        If a column is missing, no row has a label, or something counted is stated.

    References
    ----------
    Gebru et al. (2021), "Datasheets for datasets", Communications of the ACM 64.

    Examples
    --------
    >>> from mlsys_lib import World, examples
    >>> world = World("2013-04-23 04:00")
    >>> rows = examples(world, world.decisions(since="2013-04-22 04:00"))
    >>> print(data_card(rows, ["visib", "wind_gust"], label="15 minutes late or more")[:-17])
    # Data card
    - **examples**: 818 matured, 119 pending, 48 censored
    - **decided**: 2013-04-22 07:00 to 2013-04-22 23:59 UTC
    - **late**: 55.6 %; by month 55.6 % to 55.6 %
    - **airlines**: 15, from UA with 150 to YV with 1
    - **missing**: wind_gust 62.2 %
    - **label**: 15 minutes late or more
    - **fingerprint**:
    """
    names = list(features)
    checks.columns(rows, [*_CARD, *names], remedy="mlsys_lib.features.batch gives them")
    used = rows[rows.label_status == "matured"]
    if used.empty:
        raise ValueError(f"none of the {len(rows)} rows has a label; a card needs a training set")
    counted = _counted(rows.label_status.value_counts(), used, names)
    if taken := {*counted, "fingerprint"} & stated.keys():
        raise ValueError(f"{sorted(taken)} of the card are counted; state something else")
    stated = {name.replace("_", " "): said for name, said in stated.items()}
    pairs = zip(used.flight_id, used.late, strict=True)
    text = "\n".join(f"{name} {late:g}" for name, late in pairs)
    mark = hashlib.sha256(text.encode()).hexdigest()[:16]
    entries = counted | stated | {"fingerprint": mark}
    return "\n".join(["# Data card", *(f"- **{name}**: {said}" for name, said in entries.items())])


def _counted(status: pd.Series, used: pd.DataFrame, names: list[str]) -> dict[str, str]:
    month = used.late.groupby(local_day(used.sched_dep).dt.month).mean()
    airlines = used.carrier.value_counts()
    first, last = used.decided_at.min(), used.decided_at.max()
    shares = used[names].isna().mean().sort_values(ascending=False)
    lacking = [f"{name} {_percent(x)}" for name, x in shares[shares > _CARD_MISSING].items()]
    kinds = ("matured", "pending", "censored")
    return {
        "examples": ", ".join(f"{status.get(kind, 0):,} {kind}" for kind in kinds),
        "decided": f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC",
        "late": f"{_percent(used.late.mean())}; by month {_percent(month.min())} to {_percent(month.max())}",
        "airlines": f"{len(airlines)}, from {airlines.index[0]} with {airlines.iloc[0]:,} to "
        f"{airlines.index[-1]} with {airlines.iloc[-1]:,}",
        "missing": ", ".join(lacking) or "nothing",
    }


def _cells(values: npt.ArrayLike, name: str) -> pd.Series:
    if np.ndim(values) != 1:
        raise ValueError(f"{name} must have one dimension; its shape is {np.shape(values)}")
    return pd.Series(np.asarray(values))


def _votes(said: pd.DataFrame) -> pd.DataFrame:
    checks.columns(said, [], remedy="one column a rule")
    odd = said.notna() & ~said.isin([0, 1])
    if len(places := np.argwhere(odd.to_numpy(bool))):
        row, column = places[0]
        rule, vote = said.columns[column], said.iloc[row, column]
        raise ValueError(f"votes are 1, 0 or missing; {rule!r} says {vote!r}")
    return said.astype(float)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
