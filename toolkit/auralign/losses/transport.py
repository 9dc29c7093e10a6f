"""Optimal transport between two sequences of vectors: the cost of moving one onto the other, in any order.

Every vector of a sequence has the same mass, and a sequence has mass one. Padding has no mass: it is not read and gets no
gradient.

Axes: B batch, U and V vectors of the two sequences, D width.
"""

import math

import torch

from auralign.losses.term import SEQUENCES, Term

ByPair = dict[str, torch.Tensor]  # keys "xy", "yx", "xx" and "yy"


def sinkhorn_distance(
    x: torch.Tensor,
    x_lengths: torch.Tensor,
    y: torch.Tensor,
    y_lengths: torch.Tensor,
    *,
    blur: float = 0.05,
    scaling: float = 0.5,
    position_weight: float = 0.0,
) -> Term:
    """Sum over utterances of the Sinkhorn divergence (Feydy et al., arXiv:1810.08278), in fp32.

    That is OT(x, y) - OT(x, x)/2 - OT(y, y)/2 of entropic transport whose cost is half the squared distance: zero for
    equal sequences. The options are those of CTC meets optimal transport (arXiv:2301.11716).

    Arguments
    ---------
    x, y : torch.Tensor
        (B, U, D) and (B, V, D). Both get a gradient; `detach` a teacher.
    x_lengths, y_lengths : torch.Tensor
        (B,): the number of true vectors, at least 1.
    blur : float
        Distance, in the unit of the vectors, below which the plan is blurred; default 0.05. Its square weights
        the entropy.
    scaling : float
        Factor from one iteration to the next of the distance at which the plan is blurred, from the largest between the
        two sequences down to `blur`; default 0.5. A value nearer to 1 takes more iterations and is more exact.
    position_weight : float
        If not 0, the default, each vector gets one more coordinate: its index over the last one, 0 to 1, times this. A
        sequence of one vector has index 0. The released code of arXiv:2301.11716 does so; the paper was not read for it.

    Returns
    -------
    Term
        `count` is B, the unit "sequences".

    Raises
    ------
    ValueError
        If the shapes do not fit each other, a length is 0 or beyond the padding, or `blur` or `scaling` is out of range.
    """
    if not blur > 0 or not 0 < scaling < 1:
        raise ValueError(f"blur {blur} and scaling {scaling}: give blur above 0, scaling between 0 and 1")
    _check(x, x_lengths, y, y_lengths)
    if not len(x):
        return Term(sum=(x.sum() + y.sum()) * 0.0, count=0, unit=SEQUENCES)
    with torch.autocast(x.device.type, enabled=False):
        points = {"x": _zero_padding(x, x_lengths), "y": _zero_padding(y, y_lengths)}
        lengths = {"x": x_lengths.to(x.device), "y": y_lengths.to(x.device)}
        if position_weight:
            points = {name: _add_index(points[name], lengths[name], position_weight) for name in points}
        weights = {name: _within(lengths[name], points[name]) / lengths[name][:, None] for name in points}
        # "xy" is moved from x to y. A potential is differentiated only by its own points, so that each point gets its
        # share of the gradient once.
        costs = {
            pair: _half_squared_distances(points[pair[0]], points[pair[1]].detach())
            for pair in ("xy", "yx", "xx", "yy")
        }
        with torch.no_grad():
            potentials = _anneal(costs, weights, blur, scaling)
        final = _transform(costs, potentials, weights, blur**2)
        divergence = (weights["x"] * (final["xy"] - final["xx"])).sum()
        divergence = divergence + (weights["y"] * (final["yx"] - final["yy"])).sum()
    return Term(sum=divergence, count=len(x), unit=SEQUENCES)


def ipot_distance(
    x: torch.Tensor,
    x_lengths: torch.Tensor,
    y: torch.Tensor,
    y_lengths: torch.Tensor,
    *,
    beta: float = 0.5,
    iterations: int = 50,
) -> Term:
    """Sum over utterances of the transport cost, one minus the cosine, under the plan that IPOT finds, in fp32.

    UNITER (arXiv:1909.11740) aligns words with image regions like this. Only the costs have a gradient, not the plan.

    Arguments
    ---------
    x, y : torch.Tensor
        (B, U, D) and (B, V, D). Both get a gradient; `detach` a teacher.
    x_lengths, y_lengths : torch.Tensor
        (B,): the number of true vectors, at least 1.
    beta, iterations : float, int
        Options of `ipot_plan`.

    Returns
    -------
    Term
        `count` is B, the unit "sequences".

    Raises
    ------
    ValueError
        If the shapes do not fit each other, or a length is 0 or beyond the padding.
    """
    costs = ipot_costs(x, x_lengths, y, y_lengths, beta=beta, iterations=iterations)
    return Term(sum=costs.sum(), count=len(x), unit=SEQUENCES)


def ipot_costs(
    x: torch.Tensor,
    x_lengths: torch.Tensor,
    y: torch.Tensor,
    y_lengths: torch.Tensor,
    *,
    beta: float = 0.5,
    iterations: int = 50,
) -> torch.Tensor:
    """What `ipot_distance` adds up, of each utterance: (B,)."""
    _check(x, x_lengths, y, y_lengths)
    if not len(x):
        return (x.sum() + y.sum()) * x.new_zeros(0)
    with torch.autocast(x.device.type, enabled=False):
        directions = [
            torch.nn.functional.normalize(_zero_padding(points, lengths), dim=-1)
            for points, lengths in ((x, x_lengths), (y, y_lengths))
        ]
        cost = 1 - directions[0] @ directions[1].mT
        plan = ipot_plan(cost, x_lengths, y_lengths, beta=beta, iterations=iterations)
        return (plan * cost).sum((1, 2))


@torch.no_grad()
def ipot_plan(
    cost: torch.Tensor,
    x_lengths: torch.Tensor,
    y_lengths: torch.Tensor,
    *,
    beta: float = 0.5,
    iterations: int = 50,
) -> torch.Tensor:
    """The transport plan, the mass from each x to each y, by the inexact proximal point method (Xie et al., arXiv:1802.04307).

    Arguments
    ---------
    cost : torch.Tensor
        (B, U, V): the cost of moving a unit of mass.
    x_lengths, y_lengths : torch.Tensor
        (B,), at least 1.
    beta : float
        Step of the proximal point method, in the unit of the cost; default 0.5. A smaller one makes larger steps.
    iterations : int
        Number of outer iterations, of one inner Sinkhorn iteration each; default 50.

    Returns
    -------
    torch.Tensor
        (B, U, V), without gradient: rows sum to one over `x_lengths`, more exactly with more iterations, and columns to one
        over `y_lengths`; zero at padding.
    """
    x_lengths, y_lengths = x_lengths.to(cost.device)[:, None], y_lengths.to(cost.device)[:, None]
    rows = torch.arange(cost.shape[1], device=cost.device) < x_lengths
    columns = torch.arange(cost.shape[2], device=cost.device) < y_lengths
    true = rows[:, :, None] & columns[:, None]
    # In logarithms, as entries whose limit is zero shrink by a factor in each iteration.
    kernel = torch.where(true, -cost.float() / beta, -math.inf)
    plan = torch.where(true, 0.0, -math.inf)
    by_column = torch.zeros_like(columns, dtype=plan.dtype)
    for _ in range(iterations):
        plan = kernel + plan
        by_row = -x_lengths.log() - (plan + by_column[:, None]).logsumexp(2)
        by_row = torch.where(rows, by_row, 0.0)
        by_column = -y_lengths.log() - (plan + by_row[:, :, None]).logsumexp(1)
        by_column = torch.where(columns, by_column, 0.0)
        plan = plan + by_row[:, :, None] + by_column[:, None]
    return plan.exp()


def _anneal(costs: ByPair, weights: dict[str, torch.Tensor], blur: float, scaling: float) -> ByPair:
    """Potentials by symmetric Sinkhorn iterations, with an entropy weight that falls to the square of `blur`.

    The number of iterations of an utterance does not depend on its batch mates: each stops when it has converged.
    """
    true = (weights["x"] > 0)[:, :, None] & (weights["y"] > 0)[:, None]
    largest = (2 * costs["xy"]).masked_fill(~true, 0.0).amax((1, 2)).clamp(min=blur**2)
    steps = ((largest / blur**2).log() / (-2 * math.log(scaling))).ceil().nan_to_num(0.0, 0.0)
    potentials = {pair: torch.zeros_like(weights[pair[0]]) for pair in costs}
    potentials = _transform(costs, potentials, weights, largest)
    for step in range(int(steps.max()) + 1):
        epsilon = (largest * scaling ** (2 * step)).clamp(min=blur**2)
        updates = _transform(costs, potentials, weights, epsilon)
        going = (step <= steps)[:, None]
        potentials = {
            pair: torch.where(going, (potentials[pair] + updates[pair]) / 2, potentials[pair])
            for pair in costs
        }
    return potentials


def _transform(
    costs: ByPair, potentials: ByPair, weights: dict[str, torch.Tensor], epsilon: torch.Tensor | float
) -> ByPair:
    """Each pair's potential from that of the reversed pair: the soft minimum over the partner's points.

    Costs (B, U, V), potentials and weights (B, U) or (B, V), `epsilon` a number or (B,).
    """
    epsilon = torch.as_tensor(epsilon, device=weights["x"].device).reshape(-1, 1)
    return {
        pair: -epsilon
        * (
            weights[pair[1]].log()[:, None] + (potentials[pair[::-1]][:, None] - cost) / epsilon[:, :, None]
        ).logsumexp(2)
        for pair, cost in costs.items()
    }


def _half_squared_distances(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(B, U, D) and (B, V, D) to (B, U, V); by products, as the differences would be B x U x V x D numbers."""
    return (x.square().sum(-1)[:, :, None] + y.square().sum(-1)[:, None]) / 2 - x @ y.mT


def _add_index(points: torch.Tensor, lengths: torch.Tensor, weight: float) -> torch.Tensor:
    index = torch.arange(points.shape[1], device=points.device) / (lengths - 1).clamp(min=1)[:, None]
    return torch.cat([points, weight * (index * _within(lengths, points))[:, :, None]], dim=-1)


def _zero_padding(points: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return torch.where(_within(lengths.to(points.device), points)[:, :, None], points, 0.0).float()


def _within(lengths: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """(B, U): true before each length."""
    return torch.arange(points.shape[1], device=points.device) < lengths[:, None]


def _check(x: torch.Tensor, x_lengths: torch.Tensor, y: torch.Tensor, y_lengths: torch.Tensor) -> None:
    if len(x) != len(y) or x.shape[-1] != y.shape[-1]:
        raise ValueError(
            f"sequences {tuple(x.shape)} and {tuple(y.shape)}: give equal numbers B and widths D"
        )
    for name, points, lengths in (("x", x, x_lengths), ("y", y, y_lengths)):
        if len(lengths) != len(points):
            raise ValueError(
                f"{len(points)} sequences and {len(lengths)} lengths of {name}: give one for each"
            )
        for row, length in enumerate(lengths.tolist()):
            if not 0 < length <= points.shape[1]:
                raise ValueError(
                    f"row {row} of {name} has length {length}: give 1 to {points.shape[1]}, or leave the row out"
                )
