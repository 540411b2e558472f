"""The smallest update that is enough: none, a new intercept, intercept and slope, or a new fit.

References
----------
Vergouwe, Nieboer, Oostenbrink et al. 2017, *A closed testing procedure to select an appropriate
method for updating prediction models*. Statistics in Medicine 36(28). doi 10.1002/sim.7179
"""

# SciPy has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import polars as pl
from scipy.stats import chi2

from hrob_assets.risk.disclosure import in_words
from hrob_assets.risk.errors import ContractError, TooSmallError
from hrob_assets.risk.models import Recalibration
from hrob_assets.risk.statistics import fit_logistic, logit

Update = Literal["none", "intercept", "intercept and slope", "refit"]
SIGNIFICANCE = 0.05
FEWEST_EVENTS_PER_COEFFICIENT = 10
FEWEST_WEEKS = 4
"""Weeks since a change below which nothing is said of its pace."""
_BLUR = 1e-9


@dataclass(frozen=True)
class UpdateChoice:
    """The update and what speaks for it.

    Parameters
    ----------
    update : str
        none, intercept, intercept and slope, or refit.
    recalibration : Recalibration
        Of the chosen update where it is one of the first three; else of intercept and slope.
    tests : DataFrame
        One row per test in the order in which they were made: ``against_refit``,
        ``likelihood_ratio``, ``degrees_of_freedom``, ``p_value``.
    log_likelihood : dict of str to float
        Of each form on these rows.
    rows, events : int
    significance : float
    """

    update: Update
    recalibration: Recalibration
    tests: pl.DataFrame
    log_likelihood: dict[str, float]
    rows: int
    events: int
    significance: float


def choose_update(
    probability: np.ndarray,
    outcome: np.ndarray,
    components: np.ndarray,
    *,
    significance: float = SIGNIFICANCE,
) -> UpdateChoice:
    """Choose the smallest update that is not significantly worse than a new fit.

    Parameters
    ----------
    probability : ndarray of float, shape (n_rows,)
        Of independent ripe rows since the change (`ledger.evidence_rows`).
    outcome : ndarray of bool or 0/1, shape (n_rows,)
    components : ndarray of float, shape (n_rows, n_components)
        What a new fit may weigh anew: features, or sums of contributions by group of features
        (`drift.contributions_by_group`). The log odds are added where the components do not span
        them, so that the present model is one of those that a new fit may find.
    significance : float
        Of each test; the closed procedure keeps it for the whole.

    Returns
    -------
    UpdateChoice

    Raises
    ------
    TooSmallError
        With fewer than 10 events, or rows without one, per coefficient of the new fit.

    Notes
    -----
    A new fit is maximum likelihood without a penalty. Its number of coefficients must be small
    against the events: give groups of features, not hundreds of them.
    """
    odds, y = logit(probability), outcome.astype(np.float64)
    one = np.ones((y.size, 1))
    refit = _independent(np.column_stack([one, odds, components]))
    fewest = FEWEST_EVENTS_PER_COEFFICIENT * refit.shape[1]
    rarer = int(min(y.sum(), y.size - y.sum()))
    if rarer < fewest:
        msg = (
            f"the choice of an update needs {fewest} rows with and without the outcome "
            f"(found {in_words(rarer)}); wait for more outcomes, or give fewer components"
        )
        raise TooSmallError(msg)
    intercept, intercept_log = _fit(one, y, odds)
    both, both_log = _fit(np.column_stack([one, odds]), y, np.zeros(y.size))
    _, refit_log = _fit(refit, y, np.zeros(y.size))
    likelihoods = {
        "none": float(_log_likelihood(odds, y)),
        "intercept": intercept_log,
        "intercept and slope": both_log,
        "refit": refit_log,
    }
    update, tests = _closed_test(likelihoods, refit.shape[1], significance)
    shift = Recalibration(intercept=float(intercept[0]))
    forms = {"none": Recalibration(), "intercept": shift}
    return UpdateChoice(
        update=update,
        recalibration=forms.get(update, Recalibration(float(both[0]), float(both[1]))),
        tests=tests,
        log_likelihood=likelihoods,
        rows=y.size,
        events=int(y.sum()),
        significance=significance,
    )


def fit_update(update: Update, probability: np.ndarray, outcome: np.ndarray) -> Recalibration:
    """Fit an update that was chosen: another intercept, or intercept and slope.

    Parameters
    ----------
    update : str
        ``intercept`` or ``intercept and slope``.
    probability : ndarray of float, shape (n_rows,)
    outcome : ndarray of bool or 0/1, shape (n_rows,)

    Raises
    ------
    TooSmallError
        With fewer than 10 rows with and without the outcome per coefficient.

    Examples
    --------
    >>> p, y = np.full(100, 0.2), np.repeat([1, 0], [40, 60])
    >>> round(fit_update("intercept", p, y).intercept, 3)
    0.981
    """
    odds, y = logit(probability), outcome.astype(np.float64)
    one = np.ones((y.size, 1))
    design = one if update == "intercept" else np.column_stack([one, odds])
    fewest, rarer = FEWEST_EVENTS_PER_COEFFICIENT * design.shape[1], min(y.sum(), (1 - y).sum())
    if rarer < fewest:
        msg = (
            f"an update needs {fewest} rows with and without the outcome "
            f"(found {in_words(int(rarer))}); wait for more outcomes"
        )
        raise TooSmallError(msg)
    if update == "intercept":
        return Recalibration(intercept=float(_fit(design, y, odds)[0][0]))
    both, _ = _fit(design, y, np.zeros(y.size))
    return Recalibration(float(both[0]), float(both[1]))


def _closed_test(
    likelihoods: dict[str, float], coefficients: int, significance: float
) -> tuple[Update, pl.DataFrame]:
    """Test the forms from the smallest on; the first that is not significantly worse is taken."""
    smaller: tuple[tuple[Update, int], ...] = (
        ("none", 0),
        ("intercept", 1),
        ("intercept and slope", 2),
    )
    tests: list[tuple[str, float, int, float]] = []
    chosen: Update = "refit"
    for name, own in smaller:
        free = coefficients - own
        ratio = max(0.0, 2 * (likelihoods["refit"] - likelihoods[name]))
        p_value = float(chi2.sf(ratio, free)) if free else 1.0
        tests.append((name, ratio, free, p_value))
        if p_value > significance:
            chosen = name
            break
    names = ["against_refit", "likelihood_ratio", "degrees_of_freedom", "p_value"]
    return chosen, pl.DataFrame(tests, schema=names, orient="row")


def _independent(design: np.ndarray) -> np.ndarray:
    """Columns that are no linear combination of those before them, scaled; the first stays."""
    scale = np.linalg.norm(design, axis=0)
    kept: list[np.ndarray] = []
    chosen: list[int] = []
    for position, column in enumerate(design.T):
        rest = column / (scale[position] or 1.0)
        for _ in range(2):  # twice, for precision
            for base in kept:
                rest = rest - (base @ rest) * base
        size = float(np.linalg.norm(rest))
        if size > _BLUR:
            kept.append(rest / size)
            chosen.append(position)
    return design[:, chosen] / scale[chosen] * np.sqrt(design.shape[0])


def _fit(design: np.ndarray, y: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, float]:
    """Coefficients and log-likelihood of a logistic regression."""
    found = fit_logistic(design, y, offset=offset)
    if found is None:
        msg = (
            "the fit of an update must have a finite maximum (found none): some component "
            "separates the outcomes by itself; take it out"
        )
        raise ContractError(msg)
    return found.coefficients, found.log_likelihood


def _log_likelihood(score: np.ndarray, y: np.ndarray) -> float:
    return float(y @ score - np.logaddexp(0, score).sum())


@dataclass(frozen=True)
class Pace:
    """Whether a change came at once or slowly.

    Parameters
    ----------
    kind : str
        sudden or slow.
    began : datetime.date
        First week of the change, of the likelier form.
    weeks : int
        That the change took.
    size : float, log odds
        Once complete; positive means more outcomes than predicted.
    gain : float
        Log likelihood of the likelier form less that of no change.
    ahead : float
        Log likelihood by which it leads the other form; under 2 says little.
    """

    kind: Literal["sudden", "slow"]
    began: date
    weeks: int
    size: float
    gain: float
    ahead: float


_DURATIONS = (1, 2, 4, 8, 13, 26, 52, 104)


def pace_of_change(weekly: pl.DataFrame, *, sudden_weeks: int) -> Pace:
    """Tell a sudden change (such as a pandemic) from a slow drift.

    A change of the intercept that grows evenly from its first week over some weeks and then stays
    is fitted for every first week and several lengths; those complete within `sudden_weeks` are
    sudden.

    Parameters
    ----------
    weekly : DataFrame
        One row per week in order: ``week``, ``expected`` (sum of probabilities), ``events`` and
        ``information`` (sum of p(1-p)), or `alarm.EVIDENCE` of one detector, whose information is
        taken as ``expected``.
    sudden_weeks : int

    Raises
    ------
    TooSmallError
        With fewer than 4 weeks.
    """
    if weekly.height < FEWEST_WEEKS:
        msg = (
            f"the pace of a change needs {FEWEST_WEEKS} weeks or more "
            f"(found {weekly.height}); wait for more"
        )
        raise TooSmallError(msg)
    excess = (weekly["events"] - weekly["expected"]).to_numpy()
    told = "information" if "information" in weekly.columns else "expected"
    information = weekly[told].to_numpy()
    weeks = np.arange(weekly.height)
    best: dict[str, tuple[float, int, int, float]] = {}
    for duration in sorted({*(d for d in _DURATIONS if d < weekly.height), sudden_weeks}):
        shapes = np.clip((weeks[None, :] - weeks[:, None] + 1) / duration, 0, 1)
        score, curvature = shapes @ excess, np.square(shapes) @ information
        gain = np.square(score) / (2 * np.maximum(curvature, _BLUR))
        first = int(gain.argmax())
        kind = "sudden" if duration <= sudden_weeks else "slow"
        found = (float(gain[first]), first, duration, float(score[first] / curvature[first]))
        best[kind] = max(best.get(kind, found), found)
    kind: Literal["sudden", "slow"] = (
        "slow" if best.get("slow", (0.0,)) > best["sudden"] else "sudden"
    )
    gain, first, duration, size = best[kind]
    other = best.get("sudden" if kind == "slow" else "slow", (0.0,))[0]
    return Pace(kind, weekly["week"][first], duration, size, gain, gain - other)
