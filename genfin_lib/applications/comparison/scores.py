"""Scores of generated examples that no other part of the book needs.

Stylised facts and tail indices are scored by `genfin_lib.risk.compare_stylized_facts`, what a
network can tell apart by `genfin_lib.applications.generation_scores`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import KDTree
from scipy.special import logsumexp
from scipy.stats import rankdata

from genfin_lib.applications.comparison.distances import as_rows, finite
from genfin_lib.risk import expected_shortfall, fz0_loss, value_at_risk


def scrambled(examples: ArrayLike, *, seed: int) -> np.ndarray:
    """Each number of an example from another example: marginal laws kept, dependence gone.

    Calm and wild days in one window, stocks of different days in one cross-section: anomalies that
    no number alone gives away.

    Args:
        examples: ``(N, ...)``.
        seed: Of the permutations.
    """
    x = np.asarray(examples)
    rows = np.random.default_rng(seed).permuted(x.reshape(len(x), -1), axis=0)
    return rows.reshape(x.shape)


def auroc(normal: ArrayLike, anomalous: ArrayLike) -> float:
    r"""Area under the receiver operating characteristic of an anomaly score.

    .. math:: \mathrm{P}(S_{\text{anomalous}} > S_{\text{normal}})
        + \tfrac12 \mathrm{P}(S_{\text{anomalous}} = S_{\text{normal}})

    One half is guessing.

    Args:
        normal: Scores of normal examples, high if strange, ``(N,)``.
        anomalous: Scores of anomalies, ``(M,)``.

    Raises:
        ValueError: If there are NaN or inf, or no scores.
    """
    a, b = (finite(v, name) for v, name in ((normal, "normal"), (anomalous, "anomalous")))
    ranks = rankdata(np.concatenate([b, a]))[: len(b)]
    return float((ranks.mean() - (len(b) + 1) / 2) / len(a))


class Novelty(NamedTuple):
    """How far generated examples keep from those that a model was trained on.

    Attributes:
        ratio: Median distance to the nearest training example, over that of real examples that
            were not trained on: 1 is as new as reality, 0 a recital.
        copies: Share of generated examples nearer to a training example than 99 % of real ones
            are: 0.01 is as it should be.
    """

    ratio: float
    copies: float


def novelty(generated: ArrayLike, train: ArrayLike, unseen: ArrayLike) -> Novelty:
    r"""Nearest-neighbour test of memorisation.

    .. math:: \frac{\operatorname{med}_i \min_j \|g_i - x_j\|}
        {\operatorname{med}_i \min_j \|u_i - x_j\|}

    A score of realism alone is won by reciting the training data. The unseen examples set the
    scale; they should come from about the same market, for in a calmer one they lie closer
    together, and everything else looks new.

    Args:
        generated: Examples ``(M, ...)``.
        train: What the model saw, ``(N, ...)``.
        unseen: Real examples that it did not see, ``(K, ...)``.

    Raises:
        ValueError: As for `maximum_mean_discrepancy`, or if unseen examples are training examples.
    """
    g, x, u = as_rows(generated=generated, train=train, unseen=unseen)
    tree = KDTree(x)
    mine, theirs = (tree.query(rows)[0] for rows in (g, u))
    if not np.median(theirs) > 0:
        raise ValueError("half of the unseen examples are training examples: give later ones")
    return Novelty(
        float(np.median(mine) / np.median(theirs)),
        float((mine < np.quantile(theirs, 0.01)).mean()),
    )


class TailRisk(NamedTuple):
    """Risk of generated returns against real ones.

    Attributes:
        var_ratio: VaR of the generated over that of the real returns.
        es_ratio: The same for ES.
        fz0: Mean FZ0 loss of the generated VaR and ES as forecasts of the real returns.
    """

    var_ratio: float
    es_ratio: float
    fz0: float


def tail_risk(generated: ArrayLike, later: ArrayLike, *, level: float = 0.99) -> TailRisk:
    r"""VaR and ES of generated returns, held against later real ones.

    One number each for all days: an unconditional forecast. Ratios are easy to read and
    can be right by luck in a calm period; the FZ0 loss is lowest on average for the law that the
    later returns had.

    Args:
        generated: Signed returns, any shape; pooled.
        later: Real returns of a period after training, any shape; pooled.
        level: Of both.

    Raises:
        ValueError: If there are NaN, too few returns for the level, or a VaR that is no loss.
    """
    g, r = (
        finite(values, name).ravel()
        for name, values in (("generated", generated), ("later", later))
    )
    var, es = (float(measure(g, level=level)) for measure in (value_at_risk, expected_shortfall))
    return TailRisk(
        var / float(value_at_risk(r, level=level)),
        es / float(expected_shortfall(r, level=level)),
        float(fz0_loss(r, var, es, level=level).mean()),
    )


class Coverage(NamedTuple):
    """Which of several known modes a generator finds.

    Attributes:
        shares: Share of generated examples in each mode.
        missed: Total variation distance of the shares from the true weights: the mass that is
            in the wrong mode.
        invented: Share of generated examples that are less likely than 99 % of true ones: 0.01 is
            as it should be.
    """

    shares: np.ndarray
    missed: float
    invented: float


def mode_coverage(
    log_densities: ArrayLike, weights: ArrayLike, *, true_log_densities: ArrayLike
) -> Coverage:
    r"""Modes found, missed and invented, where the modes are known.

    .. math::
        \begin{aligned}
        k(x) &= \arg\max_k\, w_k p_k(x) \\
        \text{missed} &= \tfrac12 \sum_k |\hat w_k - w_k|
        \end{aligned}

    with :math:`\hat w_k` the share of generated examples with :math:`k(x) = k`.

    Args:
        log_densities: Log-density of each generated example in each mode, ``(M, modes)``.
        weights: Of the modes, summing to one, ``(modes,)``. Their shares are exact only if modes
            do not overlap.
        true_log_densities: The same for draws of the true law, ``(N, modes)``.

    Raises:
        ValueError: If shapes differ, there are NaN, or weights do not sum to one.
    """
    mine, true = as_rows(log_densities=log_densities, true_log_densities=true_log_densities)
    w = finite(weights, "weights")
    if w.shape != mine.shape[1:] or w.min() <= 0 or abs(w.sum() - 1) > 1e-9:
        raise ValueError(f"weights {w} for {mine.shape[1]} modes: positive, summing to one, needed")
    joint, joint_true = (np.log(w) + values for values in (mine, true))
    shares = np.bincount(joint.argmax(axis=1), minlength=len(w)) / len(mine)
    limit = np.quantile(logsumexp(joint_true, axis=1), 0.01)
    return Coverage(
        shares,
        float(np.abs(shares - w).sum() / 2),
        float((logsumexp(joint, axis=1) < limit).mean()),
    )
