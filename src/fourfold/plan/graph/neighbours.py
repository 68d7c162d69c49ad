"""Points that a plan looks for near its rows."""

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
    """Points that are looked for near a query.

    Attributes:
        points: shape `(rows, values)`.
        targets: what is known of each, shape `(rows, targets)`.
        k: how many are looked for.
        metric: the distance.
        power: of `Metric.MINKOWSKI`.
        nodes: a tree of them, for each node where its points begin and end, and 1 of a leaf; the children of node `i`
            are `2 * i + 1` and `2 * i + 2`. Left out, all points are looked at.
        bounds: the least and the largest values of each node's points, shape `(2, nodes, values)`; of balls their
            middles, shape `(nodes, values)`.
        radii: of balls, shape `(nodes,)`.
        farthest: a point that is not nearer than this is not found.
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
