"""TimeVAE from its published form to one for markets, a rung at a time: `make timevae`."""

import argparse
import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from genfin_lib import data
from genfin_lib.applications.generation_scores import discriminative_score, predictive_score
from genfin_lib.applications.results import ROOT, write_results
from genfin_lib.latent import ConstantScaleHead, StudentTHead, TimeVAE, fit_prior
from genfin_lib.training import fit

DATASET = "sp500_ohlcv"
BARS = ["Open", "High", "Low", "Close", "Volume"]
LENGTH, LATENTS, EPOCHS = 24, 8, 20
SINE_EPOCHS = 200  # sines have no noise, and the learned scale needs long to say so
PLAIN, HEADS, COORDINATES, PRIOR = "plain", "t and scales", "bar coordinates", "mixture prior"
COPIES = "copies of the data"
SHORT = f"mixture prior, {EPOCHS} epochs"  # sines as briefly trained as bars
TRAININGS, REPEATS = 3, 3
STRONG = {"hidden": 24, "steps": 1000, "batch_size": 64, "learning_rate": 5e-3, "cosine": True}
FORECAST = {"steps": 300, "learning_rate": 2e-2, "cosine": True}
CACHE = ROOT / "data" / "cache" / "timevae"


def bar_windows(table: pd.DataFrame, *, length: int = LENGTH) -> np.ndarray:
    """All windows of daily bars, ``(N, length, 5)``: open, high, low, close, volume.

    Raises:
        ValueError: If one of these columns is missing, or there are fewer rows than one window.
    """
    missing = [name for name in BARS if name not in table]
    if missing:
        raise ValueError(f"columns {list(table)}: {missing} missing; rename or add them")
    return data.windows(table[BARS], length)


def unit_scale(windows: np.ndarray) -> Callable[[np.ndarray], Tensor]:
    """The map that takes each channel of these windows to [0, 1], as the scores ask for."""
    low, high = windows.min(axis=(0, 1)), windows.max(axis=(0, 1))
    return lambda x: torch.tensor((x - low) / (high - low), dtype=torch.float32)


def published_head(weight: float = 3.0) -> ConstantScaleHead:
    r"""The published loss, ``weight`` times the squared error, is a fixed scale.

    .. math:: w (x - \mu)^2 = \frac{(x - \mu)^2}{2 \sigma^2} \iff \sigma = (2 w)^{-1/2}

    With w = 3 that is 0.41, on data between 0 and 1: all detail is noise to such a decoder.
    """
    head = ConstantScaleHead()
    with torch.no_grad():
        head.raw_scale.fill_(math.log(math.expm1((2 * weight) ** -0.5 - head.floor)))
    head.raw_scale.requires_grad_(False)
    return head


def train(model: TimeVAE, x: Tensor, *, seed: int, epochs: int = EPOCHS) -> TimeVAE:
    """Fit as in all of the study: a fixed number of epochs, the rate falling along a cosine."""
    fit(model, x, seed=seed, epochs=epochs, batch_size=128, learning_rate=2e-3, cosine=True)
    return model


def market_model(x: Tensor, *, seed: int, epochs: int = EPOCHS) -> TimeVAE:
    """Student-t decoder with a scale for each number, on coordinates ``(N, T, 5)`` of bars."""
    torch.manual_seed(seed)
    model = TimeVAE(x.shape[2], x.shape[1], LATENTS, head=StudentTHead(x.shape[2], floor=0.01))
    return train(model, x, seed=seed, epochs=epochs)


def generate(rung: str, windows: np.ndarray, *, seed: int) -> dict[str, Tensor]:
    """As many windows as given, on the unit scale, by the models of a rung.

    The third and fourth rung are one trained model with two priors, and come together.
    """
    unit, n = unit_scale(windows), len(windows)
    if rung == COPIES:
        draws = np.random.default_rng(seed).integers(n, size=n)
        return {COPIES: unit(windows[draws])}
    if rung in (PLAIN, HEADS):
        torch.manual_seed(seed)
        head = published_head() if rung == PLAIN else StudentTHead(windows.shape[2])
        model = TimeVAE(windows.shape[2], windows.shape[1], LATENTS, head=head)
        train(model, unit(windows), seed=seed)
        return {rung: model.sample(n, noise=rung == HEADS, seed=seed)}
    coordinates = data.BarCoordinates().fit(windows)
    x = torch.tensor(coordinates.transform(windows), dtype=torch.float32)
    model = market_model(x, seed=seed)
    found = {COORDINATES: model.sample(n, seed=seed)}
    fit_prior(model, x, seed=seed)
    found[PRIOR] = model.sample(n, seed=seed)
    return {name: unit(coordinates.inverse(z.double().numpy())) for name, z in found.items()}


def sines(n: int, *, seed: int, length: int = LENGTH, channels: int = 5) -> Tensor:
    """Simulated: sines of random frequency and phase, scaled to [0, 1], ``(n, length, channels)``.

    As in Yoon, Jarrett and van der Schaar (2019): both uniform on [0, 0.1], in radians.
    """
    generator = torch.Generator().manual_seed(seed)
    frequency, phase = 0.1 * torch.rand(2, n, 1, channels, generator=generator)
    return (1 + torch.sin(frequency * torch.arange(length)[:, None] + phase)) / 2


def generate_sines(real: Tensor, *, seed: int, epochs: int = SINE_EPOCHS) -> Tensor:
    """Learned noise, twelve latents, mixture prior; decoder means, as sines have no noise."""
    torch.manual_seed(seed)
    model = TimeVAE(real.shape[2], real.shape[1], 12, head=ConstantScaleHead())
    train(model, real, seed=seed, epochs=epochs)
    fit_prior(model, real, seed=seed)
    return model.sample(len(real), noise=False, seed=seed)


def scores(real: Tensor, generated: Tensor, *, repeats: int, published: bool) -> pd.DataFrame:
    """Long table ``repeat, score, value``: `h24`, `predictive`, and the published one, once."""
    rows: list[tuple[int, str, float]] = []
    for seed in range(repeats):
        rows.append((seed, "h24", discriminative_score(real, generated, seed=seed, **STRONG)))  # type: ignore[arg-type]
        error = predictive_score(real, generated, seed=seed, **FORECAST)  # type: ignore[arg-type]
        rows.append((seed, "predictive", error))
    if published:
        rows.append((0, "published", discriminative_score(real, generated, seed=0)))
    return pd.DataFrame(rows, columns=["repeat", "score", "value"])


def _pieces() -> Iterator[tuple[str, str, int]]:
    """Data, rung and training: both ends of the ladder in full, all else once."""
    yield "bars", COPIES, 0
    yield "bars", HEADS, 0
    yield "sines", SHORT, 0
    for training in range(TRAININGS):
        yield "bars", PLAIN, training
        yield "bars", PRIOR, training
        yield "sines", PRIOR, training


def _piece(windows: np.ndarray, kind: str, rung: str, training: int) -> pd.DataFrame:
    if kind == "sines":
        real = sines(len(windows), seed=training)
        epochs = EPOCHS if rung == SHORT else SINE_EPOCHS
        made = {rung: generate_sines(real, seed=training, epochs=epochs)}
    else:
        real = unit_scale(windows)(windows)
        made = generate(rung, windows, seed=training)
        if training:
            made.pop(COORDINATES, None)
    tables = []
    for name, generated in made.items():
        full = kind == "bars" and name in (PLAIN, PRIOR)
        published = kind == "bars" and training == 0
        table = scores(real, generated, repeats=REPEATS if full else 1, published=published)
        tables.append(table.assign(data=kind, model=name, training=training))
    return pd.concat(tables)


def study(windows: np.ndarray) -> pd.DataFrame:
    """Every score of every rung; pieces that were done are kept in `data/cache`, and not redone."""
    settings = repr((LATENTS, EPOCHS, SINE_EPOCHS, REPEATS, STRONG, FORECAST)).encode()
    digest = hashlib.sha256(windows.tobytes() + settings).hexdigest()[:12]
    CACHE.mkdir(parents=True, exist_ok=True)
    tables = []
    for kind, rung, training in _pieces():
        path = CACHE / f"{digest}-{kind}-{rung.replace(' ', '_').replace(',', '')}-{training}.csv"
        if not path.exists():
            _piece(windows, kind, rung, training).to_csv(path, index=False)
        tables.append(pd.read_csv(path))
    order = ["data", "model", "training", "repeat", "score", "value"]
    return pd.concat(tables)[order].reset_index(drop=True)


def main() -> None:
    """Run the study on the bundled bars, or on those of a CSV file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, help="own bars: a date, then " + ", ".join(BARS))
    path = parser.parse_args().csv
    table = data.load(DATASET) if path is None else pd.read_csv(path, index_col=0)
    result = study(bar_windows(table))
    if path is None:
        write_results("timevae", result, command="make timevae", seed=0, inputs=[DATASET])
    else:
        result.to_csv(CACHE / f"{path.stem}.csv", index=False)
    means = result.groupby(["data", "model", "score"], sort=False)["value"].mean()
    print(means.unstack("score").round(3).to_string())


if __name__ == "__main__":
    main()
