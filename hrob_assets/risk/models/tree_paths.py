"""What each column contributes on the way of a row through a forest."""

# Numba has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUntypedFunctionDecorator=false, reportUnknownVariableType=false

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit


@dataclass(frozen=True)
class Tree:
    """A binary tree as arrays over its nodes; the root is node 0.

    Parameters
    ----------
    column, left, right : ndarray of int64
        Column that is asked, and the nodes of its answers; ``left`` is -1 at a leaf.
    bound : ndarray of float64
        A row goes left when its value is at most this.
    value : ndarray of float64
        Mean of the training rows that reach a node, of whatever the leaves state.
    """

    column: np.ndarray
    left: np.ndarray
    right: np.ndarray
    bound: np.ndarray
    value: np.ndarray


def path_contributions(prepared: np.ndarray, trees: Sequence[Tree]) -> np.ndarray:
    """Change of a tree's mean at each question, given to the column that was asked; summed.

    Parameters
    ----------
    prepared : ndarray of float32, shape (n_rows, n_columns)
        Without missing values.
    trees : sequence of Tree

    Returns
    -------
    ndarray of float64, shape (n_rows, n_columns)
        A row's sum plus the values of all roots is the sum of the leaves that it reaches.

    References
    ----------
    Saabas 2014, "Interpreting random forests". Interactions are given to the column that is
    asked last, so that a share is an approximation.

    Examples
    --------
    >>> tree = Tree(*(np.array(n) for n in ([1, 0, 0], [1, -1, -1], [2, -1, -1])),
    ...     np.array([0.5, 0.0, 0.0]), np.array([0.3, 0.1, 0.9]))
    >>> path_contributions(np.array([[7.0, 1.0]], dtype=np.float32), [tree]).round(1).tolist()
    [[0.0, 0.6]]
    """
    found = np.zeros(prepared.shape, dtype=np.float64)
    for tree in trees:
        _walk(prepared, tree.column, tree.left, tree.right, tree.bound, tree.value, found)
    return found


def node_means(
    left: np.ndarray, right: np.ndarray, count: np.ndarray, leaf: np.ndarray
) -> np.ndarray:
    """Mean of the leaves under each node, weighted by the training rows that reach them.

    Returns
    -------
    ndarray of float64, shape (n_nodes,)
        Children come after their parents in all arrays.
    """
    mean = leaf.astype(np.float64).copy()
    for node in range(left.size - 1, -1, -1):
        if left[node] >= 0:
            one, other = left[node], right[node]
            total = float(count[one]) + float(count[other])
            mean[node] = (mean[one] * count[one] + mean[other] * count[other]) / total
    return mean


@njit(cache=True)
def _walk(
    prepared: np.ndarray,
    column: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    bound: np.ndarray,
    value: np.ndarray,
    found: np.ndarray,
) -> None:
    for row in range(prepared.shape[0]):
        node = 0
        while left[node] >= 0:
            asked = column[node]
            below = left[node] if prepared[row, asked] <= bound[node] else right[node]
            found[row, asked] += value[below] - value[node]
            node = below
