"""What levels are good for, with three seeds each: part of `make hierarchy`.

The seed is that of the chapters' parameter cell: of the simulated market, of training and of all
draws. Chapters: Levels at work; Levels in time.
"""

import os
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from genfin_lib.applications.hierarchy.horizons import hedged, score_paths
from genfin_lib.applications.hierarchy.market import (
    Market,
    alarm_areas,
    alarm_scores,
    inject,
    rare_day_errors,
    told_risk,
)
from genfin_lib.applications.hierarchy.models import LEVELS, PANEL, train
from genfin_lib.applications.hierarchy.panel import StockPanel
from genfin_lib.applications.hierarchy.series import TopTransition, next_windows, qlike
from genfin_lib.applications.results import FOLDER, write_results
from genfin_lib.data import load
from genfin_lib.latent import HierarchicalVAE, NormalHead, StudentTHead
from genfin_lib.risk import diebold_mariano, expected_shortfall, value_at_risk

SEEDS = (0, 1, 2)
STEPS = 700  # as in the chapters' parameter cells
DATES = {"2008": "2008-11-20", "2017": "2017-10-31", "2020": "2020-04-03"}
HORIZONS = (1, 8, 16, 32)  # days of the panel
MARKET_HORIZONS = (8, 64)  # steps: a day, a window

Row = tuple[str, str, float]  # what, of, value


def market_model(x: Tensor, *, seed: int, steps: int = STEPS) -> HierarchicalVAE:
    """The hierarchy of the simulated market, its head Gaussian, trained."""
    return train(
        lambda: HierarchicalVAE(64, levels=LEVELS, width=16, head=NormalHead()),
        x,
        seed=seed,
        steps=steps,
    )


def panel_model(x: Tensor, *, seed: int, steps: int = STEPS) -> HierarchicalVAE:
    """The hierarchy of twenty stocks, 32 days, with a Student-t, trained."""
    return train(
        lambda: HierarchicalVAE(32, 20, levels=PANEL, width=32, head=StudentTHead()),
        x,
        seed=seed,
        steps=steps,
    )


def read_top(model: HierarchicalVAE, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means of the top, and of the last block, of many windows, ``(N, units)`` each."""
    parts = [model.latents(part) for part in x.split(1000)]
    top, block = (torch.cat([z[k] for z in parts])[:, :, -1].numpy() for k in (0, 1))
    return top, block


def market_forecasts(
    model: HierarchicalVAE, market: Market, *, draws: int = 60, seed: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Variance of the next window by name, and the top's paths, for each later window but the last.

    Args:
        model: Trained on the past windows.
        market: The simulated market.
        draws: Paths for each window.
        seed: Of the paths.

    Returns:
        Mean square of a step by ``exact filter``, ``top with a transition``, ``regression`` of log
        variance on the last window's, and ``constant``; paths ``(N, draws, 64)``.
    """
    n = market.past
    tops, _ = read_top(model, market.x)
    variance = market.x.square().mean((1, 2)).numpy()
    move = TopTransition.fit(tops[: n - 1], tops[1:n])
    paths = next_windows(model, move, tops[n:-1], draws=draws, seed=seed)[..., 0].numpy()
    now = np.log(variance[:-1])
    line = np.polyfit(now[: n - 1], np.log(variance[1:n]), 1)
    fitted = np.exp(np.polyval(line, now))
    level = variance[1:n].mean() / fitted[: n - 1].mean()
    return {
        "exact filter": market.odds[n:-1] @ market.variances,
        "top with a transition": (paths.astype(float) ** 2).mean((1, 2)),
        "regression": level * fitted[n:],
        "constant": np.full(len(paths), variance[:n].mean()),
    }, paths


def of_market(model: HierarchicalVAE, market: Market, *, seed: int) -> Iterator[Row]:
    """Results on the simulated market, one seed, as `(what, of, value)`."""
    n = market.past
    later, wild = market.x[n + 1000 :], market.wild[n + 1000 :]
    for name, chosen in (("calm", ~wild), ("wild", wild)):
        tops = model.latents(later[chosen])[0].repeat(8, 1, 1)
        drawn = model.sample(len(tops), given=[tops], seed=seed)
        yield "volatility over the truth", name, (drawn.std() / later[chosen].std()).item()
    quiet = alarm_scores(model, later, seed=seed)
    strange = inject(later, wild, seed=seed)
    areas = alarm_areas(quiet, {k: alarm_scores(model, x, seed=seed) for k, x in strange.items()})
    for kind, row in areas.iterrows():
        for name, value in row.items():
            yield f"AUC, {kind}", str(name), value
    given = [z.repeat(40, 1, 1) for z in model.latents(later)[:2]]
    drawn = model.sample(40 * len(later), given=given, seed=seed).view(40, -1, 8, 8).sum(3)
    days = drawn.flatten(1).T.numpy()  # (days, draws)
    errors = rare_day_errors(days, later.reshape(-1, 8).numpy(), seed=seed)
    for name, value in errors.pow(2).mean().pow(0.5).items():
        yield "rms error, VaR of rare days", str(name), value
    forecasts, paths = market_forecasts(model, market, seed=seed)
    came = market.x[n + 1 :, :, 0].numpy()
    realised = (came.astype(float) ** 2).mean(axis=1)
    losses = {name: qlike(v, realised) for name, v in forecasts.items()}
    for name, loss in losses.items():
        yield "QLIKE", name, loss.mean()
        if name != "top with a transition":
            test = diebold_mariano(losses["top with a transition"], loss)
            yield "DM of the top against it", name, test.statistic
    fall = -np.quantile(market.x[:n].sum((1, 2)).numpy(), 0.05)
    laws = {"exact filter": market.exact_paths(60, seed=seed), "top with a transition": paths}
    for name, law in laws.items():
        table = score_paths(law, came, horizons=MARKET_HORIZONS, fall=fall)
        for what, value in table.mean().items():
            yield str(what), name, value
    truth = market.variances[market.wild[n + 1 :].astype(int)]
    table = hedged(came.sum(axis=1), forecasts | {"regime known": truth}, truth)
    for name, row in table.iterrows():
        for what, value in row.items():
            yield f"hedged, {what}", str(name), value
    for (regime, whose), row in told_risk(model, market, seed=seed).iterrows():
        for level, value in row.items():
            yield f"VaR told {level}, {whose}", regime, value


def risks(y: np.ndarray) -> dict[str, float]:
    """VaR of a day, and VaR and ES of all days, 99 %, of paths ``(N, days)``."""
    return {
        "VaR 1": float(value_at_risk(y.ravel(), level=0.99)),
        "VaR 32": float(value_at_risk(y.sum(axis=1), level=0.99)),
        "ES 32": float(expected_shortfall(y.sum(axis=1), level=0.99)),
    }


def of_panel(model: HierarchicalVAE, panel: StockPanel, *, seed: int) -> Iterator[Row]:
    """Results on twenty stocks, one seed, as `(what, of, value)`."""
    for name, date in DATES.items():
        window = panel.window_to(date)
        z = [part.repeat(2000, 1, 1) for part in model.latents(window)]
        for told, label in enumerate(("nothing", "top", "+ blocks", "+ days")):
            x = model.sample(2000, given=z[:told], seed=seed)
            for what, value in risks(panel.portfolio(x).numpy()).items():
                yield what, f"{name}, told {label}", value
        nats = model.kl_by_place(window, seed=seed)
        for level, k in zip(("top", "blocks", "days"), nats, strict=True):
            yield "nats", f"{name}, {level}", k.sum().item()


def panel_forecasts(
    model: HierarchicalVAE, panel: StockPanel, *, draws: int = 200, seed: int
) -> dict[str, np.ndarray]:
    """Paths of the portfolio from the evenings of `origins`, per cent, ``(N, draws, 32)``.

    Args:
        model: Trained on windows of the past.
        panel: The stocks.
        draws: Paths for each evening.
        seed: Of the paths.

    Returns:
        By state of the transition: ``top``, and ``top and block``, the last block beside it.
    """
    top, block = read_top(model, panel.windows)
    n, length = panel.trained, panel.windows.shape[1]
    out = {}
    for name, state in (("top", top), ("top and block", np.column_stack((top, block)))):
        move = TopTransition.fit(state[: n - length], top[length:n])
        now = state[origins(panel) - length + 1]
        paths = next_windows(model, move, now, draws=draws, seed=seed)
        out[name] = panel.portfolio(paths).numpy()
    return out


def origins(panel: StockPanel, first: str = "2014", every: int = 8) -> np.ndarray:
    """Rows of the panel's days from whose evening 32 days are forecast.

    Args:
        panel: The stocks.
        first: From this date on.
        every: Days from one to the next.
    """
    days = panel.returns.index
    return np.arange(days.searchsorted(pd.Timestamp(first)), len(days) - max(HORIZONS))[::every]


def forecast_table(paths: dict[str, np.ndarray], panel: StockPanel) -> pd.DataFrame:
    """Variance and CRPS by evening and horizon, a row a state and evening.

    Args:
        paths: As `panel_forecasts` gives them.
        panel: The stocks.
    """
    rows = origins(panel)
    y = panel.portfolio(torch.tensor(panel.scaled.to_numpy()).float()).double().numpy()
    came = np.stack([y[row + 1 : row + 1 + max(HORIZONS)] for row in rows])
    tables = []
    for name, law in paths.items():
        scores = score_paths(law, came, horizons=HORIZONS, fall=5.0)
        for h in HORIZONS:
            scores[f"variance {h}"] = (law[:, :, :h].astype(float) ** 2).mean((1, 2))
        dates = panel.returns.index[rows].strftime("%Y-%m-%d")
        tables.append(scores.assign(model=name, date=dates))
    return pd.concat(tables)


def main() -> None:
    """Three seeds of both markets, into two tables."""
    torch.set_num_threads(1)
    panel, rows, forecasts = StockPanel(load("sp500_stocks")), [], []
    for seed in SEEDS:
        market = Market.simulate(seed=seed)
        model = market_model(market.x[: market.past], seed=seed)
        rows += [("market", seed, *row) for row in of_market(model, market, seed=seed)]
        print(f"market, seed {seed}: {len(rows)} rows", flush=True)
        model = panel_model(panel.windows[: panel.trained], seed=seed)
        rows += [("panel", seed, *row) for row in of_panel(model, panel, seed=seed)]
        paths = panel_forecasts(model, panel, seed=seed)
        forecasts.append(forecast_table(paths, panel).assign(seed=seed))
        print(f"panel, seed {seed}: {len(rows)} rows", flush=True)
    tables = {
        "levels": pd.DataFrame(rows, columns=["part", "seed", "what", "of", "value"]),
        "forecasts": pd.concat(forecasts),
    }
    for name, table in tables.items():
        write_results(
            f"hierarchy_{name}",
            table,
            command="make hierarchy",
            seed=0,
            inputs=("sp500_stocks",),
            facts={"steps": STEPS},
        )
    print(f"tables in {os.path.relpath(FOLDER)}")


if __name__ == "__main__":
    main()
