"""Assignment 1."""

from tests.coursework.submissions import Submission

SUBMISSIONS = [
    Submission(
        "right, with loops and sorting",
        {
            "portfolio": """
import math

def portfolio_log_returns(x, weights):
    days = []
    for day in x:
        growth = sum(w * math.exp(r) for w, r in zip(weights, day))
        days.append(math.log(growth))
    return np.array(days)
""",
            "risk": """
def _tail(draws, level):
    losses = np.sort(-np.asarray(draws))[::-1]
    return losses[: max(1, round(len(losses) * (1 - level)))]

def value_at_risk(draws, level):
    return _tail(draws, level)[-1]

def expected_shortfall(draws, level):
    return _tail(draws, level).mean()
""",
            "walk": """
def walk_forward(returns, window, level):
    stated = {}
    for t in range(window, len(returns)):
        past = returns.iloc[t - window : t]
        stated[returns.index[t]] = value_at_risk(past, level)
    return pd.Series(stated)

import pandas as pd
""",
            "kupiec": """
from scipy.special import xlog1py, xlogy

def kupiec(hits, n, level):
    p, q = 1 - level, hits / n
    ratio = 2 * (xlogy(hits, q) + xlog1py(n - hits, -q) - xlogy(hits, p) - xlog1py(n - hits, -p))
    return ratio, 1 - stats.chi2.cdf(ratio, df=1)
""",
        },
    ),
    Submission(
        "adds log returns over assets, rounds the level, scales with the future, knows today, "
        "divides by zero",
        {
            "portfolio": "def portfolio_log_returns(x, weights):\n    return x @ weights",
            "risk": """
def value_at_risk(draws, level):
    return -np.percentile(draws, int((1 - level) * 100))

def expected_shortfall(draws, level):
    return -draws[draws <= -value_at_risk(draws, level)].mean()
""",
            "scaler": """
def standardize(train, later):
    both = np.vstack((train, later))
    mean, scale = both.mean(axis=0), both.std(axis=0)
    return (train - mean) / scale, (later - mean) / scale
""",
            "walk": """
def walk_forward(returns, window, level):
    return -returns.rolling(window).quantile(1 - level).dropna()
""",
            "kupiec": """
def kupiec(hits, n, level):
    p, q = 1 - level, hits / n
    with np.errstate(all="ignore"):
        ratio = 2 * (hits * np.log(q / p) + (n - hits) * np.log((1 - q) / (1 - p)))
    return ratio, stats.chi2.sf(ratio, 1)
""",
        },
        loses={
            "portfolio-wealth",
            "risk-properties",
            "scaler-past",
            "scaler-constant",
            "walk-first-day",
            "walk-no-look-ahead",
            "kupiec-extremes",
        },
    ),
    Submission(
        "takes value at risk for a return, and the wrong tail of the p-value",
        {
            "risk": """
def value_at_risk(draws, level):
    return np.quantile(draws, 1 - level)

def expected_shortfall(draws, level):
    return draws[draws <= np.quantile(draws, 1 - level)].mean()
""",
            "kupiec": """
def kupiec(hits, n, level):
    p, q = 1 - level, hits / n
    ratio = 2 * (stats.binom.logpmf(hits, n, q) - stats.binom.logpmf(hits, n, p))
    return ratio, stats.chi2.cdf(ratio, 1)
""",
        },
        loses={"risk-signs", "risk-properties", "kupiec-published", "kupiec-extremes"},
    ),
]  # fmt: skip
