"""Describe the points that a nearest-neighbour search looks through."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fourfold.plan.format import Metric

__all__ = ["Neighbours"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Neighbours:
    """Hold the points of a nearest-neighbour search.

    Attributes:
        points: shape `(rows, values)`.
        targets: the values to return of each point, shape `(rows, targets)`.
        k: how many points a search returns.
        metric: the distance.
        power: the exponent of `Metric.MINKOWSKI`.
        nodes: a tree over the points, shape `(nodes, 3)`: the first point of a node, the one behind its last, and 1 for
            a leaf. The children of node `i` are `2 * i + 1` and `2 * i + 2`. Without a tree all points are compared.
        bounds: the least and the largest values of each node's points, shape `(2, nodes, values)`; for balls their
            centres, shape `(nodes, values)`.
        radii: the radii of balls, shape `(nodes,)`; `None` for a tree of boxes.
        farthest: only points nearer than this are returned.
    """

    points: Floats
    targets: Floats
    k: int
    metric: Metric
    power: float = 2.0
    nodes: npt.NDArray[np.uint32] | None = None
    bounds: Floats | None = None
    radii: Floats | None = None
    farthest: float = math.inf
