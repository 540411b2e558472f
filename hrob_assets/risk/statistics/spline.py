"""Natural cubic splines, with as many knots as the data can carry."""

from dataclasses import dataclass

import numpy as np

_KNOTS = {5: (0.05, 0.275, 0.5, 0.725, 0.95), 4: (0.05, 0.35, 0.65, 0.95), 3: (0.1, 0.5, 0.9)}
_ROWS_PER_COLUMN = 10


@dataclass(frozen=True)
class Spline:
    """Natural cubic spline: cubic between its knots, a straight line outside them.

    Parameters
    ----------
    knots : tuple of float
        5, 4 or 3; fewer than 3 stand for a straight line.

    References
    ----------
    Harrell, *Regression Modeling Strategies*, section 2.4.5 (the truncated power basis).
    """

    knots: tuple[float, ...]

    def basis(self, x: np.ndarray) -> np.ndarray:
        """The columns of a regression on x: intercept, x and its bends.

        Returns
        -------
        float64 array, shape (x.size, max(n_knots, 2))

        Examples
        --------
        >>> Spline((0.0, 1.0, 2.0)).basis(np.array([0.0, 2.0])).tolist()
        [[1.0, 0.0, 0.0], [1.0, 2.0, 1.5]]
        """
        columns = [np.ones_like(x), x]
        if len(self.knots) > 2:  # noqa: PLR2004 - a bend needs three knots
            *first, before, last = self.knots
            scale = (last - self.knots[0]) ** 2
            for knot in first:
                bend = (
                    _cubed(x - knot)
                    - _cubed(x - before) * (last - knot) / (last - before)
                    + _cubed(x - last) * (before - knot) / (last - before)
                )
                columns.append(bend / scale)
        return np.column_stack(columns)


def _cubed(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) ** 3


def spline_for(x: np.ndarray, rarer: int) -> Spline:
    """The spline with most knots, up to 5 at quantiles of x, that the data can carry.

    Parameters
    ----------
    x : float array, shape (n_rows,)
    rarer : int
        Rows of the rarer outcome; there must be 10 for each column but the intercept.

    Examples
    --------
    >>> [len(spline_for(np.arange(100.0), rarer).knots) for rarer in (40, 39, 20, 19)]
    [5, 4, 3, 0]
    """
    different = np.unique(x).size
    for quantiles in _KNOTS.values():
        count = len(quantiles)
        knots = np.unique(np.quantile(x, quantiles))
        if knots.size == count and different > count and rarer >= _ROWS_PER_COLUMN * (count - 1):
            return Spline(tuple(float(knot) for knot in knots))
    return Spline(())
