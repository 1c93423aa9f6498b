"""A map of the book's models: what is latent, what time does, how the likelihood is known.

Drawn in the colours of the page around it, so that it is legible in both modes.
"""

from collections.abc import Callable, Iterator
from html import escape
from typing import NamedTuple

COLUMNS = ("each day by itself", "told the evening before", "windows of days", "a state that moves")
BORDERS = {"exact": "exact", "bound": "a bound", "draws": "only draws"}
MARKETS, FLOWS, GLOW, LATENT = (
    f"chapters/{name}" for name in ("01_markets", "02_flows", "03_glow", "04_latent")
)
COMPARISON = "chapters/07_comparison/01_leaderboard"


class Model(NamedTuple):
    name: str
    column: int
    page: str
    likelihood: str = "exact"


ROWS = {
    "none": (
        Model("Gaussian, Student-t", 0, f"{MARKETS}/01_returns_and_stylised_facts"),
        Model("EWMA, GARCH, EVT", 1, f"{MARKETS}/02_forecasting_risk"),
    ),
    "as many as\nthe data": (
        Model("NICE, RealNVP", 0, f"{FLOWS}/01_change_of_variables"),
        Model("MAF, IAF, splines", 0, f"{FLOWS}/02_autoregressive_and_spline_flows"),
        Model("continuous flows", 0, f"{FLOWS}/03_continuous_flows_and_flow_matching"),
        Model("diffusion", 0, COMPARISON, "bound"),
        Model("Glow, market states", 0, f"{GLOW}/02_market_states"),
        Model("conditional flows", 1, f"{FLOWS}/05_risk_forecasts"),
        Model("joint flows", 1, f"{FLOWS}/06_portfolios"),
        Model("Glow of windows", 2, f"{GLOW}/01_glow"),
    ),
    "a regime": (
        Model("Gaussian mixtures", 0, f"{LATENT}/02_regimes"),
        Model("hidden Markov chains", 3, f"{LATENT}/02_regimes"),
        Model("chains over flows", 3, f"{FLOWS}/08_regimes"),
    ),
    "a few,\nlinear": (
        Model("factor analysis, PPCA", 0, f"{LATENT}/01_factor_models"),
        Model("Kalman filter", 3, f"{LATENT}/05_state_space_and_recurrent"),
    ),
    "a few, by\nnetworks": (
        Model("GAN", 0, COMPARISON, "draws"),
        Model("VAE", 0, f"{LATENT}/04_vae", "bound"),
        Model("recurrent VAE", 2, f"{LATENT}/05_state_space_and_recurrent", "bound"),
        Model("TimeVAE", 2, f"{LATENT}/06_timevae", "bound"),
        Model("dynamic factors", 3, "chapters/06_rvrae/01_dynamic_factors", "bound"),
    ),
    "several\nlevels": (Model("hierarchical VAE", 2, "chapters/05_hvae/01_hierarchy", "bound"),),
}

LEFT, WIDTH, STEP, TOP = 94, 162, 33, 44
SAYS = (
    "A table. Rows: the latent variable, from none, as many numbers as the data (flows), a regime, "
    "a few numbers (factor models, autoencoders), to several levels. Columns: each day by itself, "
    "told the evening before, windows of days, a state that moves. A solid border stands for an "
    "exact likelihood, a dashed one for a bound, a dotted one for draws alone."
)


def stacked(models: tuple[Model, ...]) -> Iterator[tuple[Model, int]]:
    """Each model with its place in its cell."""
    below = [0] * len(COLUMNS)
    for model in models:
        yield model, below[model.column]
        below[model.column] += 1


def box(model: Model, x: float, y: float, link: str | None) -> str:
    width = WIDTH - 12
    shape = (
        f'<rect class="{model.likelihood}" x="{x}" y="{y}" width="{width}" height="26" rx="5"/>'
        f'<text x="{x + width / 2}" y="{y + 17.5}" text-anchor="middle">{escape(model.name)}</text>'
    )
    return f'<a href="{link}">{shape}</a>' if link else shape


def draw(address: Callable[[str], str | None]) -> str:
    """The map as SVG within a figure; `address` knows where a page is, or that there is none."""
    parts, y = [], TOP
    for column, words in enumerate(COLUMNS):
        middle = LEFT + column * WIDTH + WIDTH / 2 - 6
        parts.append(f'<text class="head" x="{middle}" y="26" text-anchor="middle">{words}</text>')
    for row, models in ROWS.items():
        lines = row.split("\n")
        deepest = max(place for _, place in stacked(models))
        height = max(STEP * (deepest + 1), 15 * len(lines) + 8) + 10
        parts.append(f'<path class="rule" d="M0 {y - 4}H{LEFT + 4 * WIDTH}"/>')
        for number, words in enumerate(lines):
            base = y + 22 + 15 * number
            parts.append(f'<text class="head" x="0" y="{base}">{words}</text>')
        for model, place in stacked(models):
            x = LEFT + model.column * WIDTH
            parts.append(box(model, x, y + 5 + STEP * place, address(model.page)))
        y += height
    parts.append(f'<path class="rule" d="M0 {y - 4}H{LEFT + 4 * WIDTH}"/>')
    parts.append(f'<text class="head" x="0" y="{y + 23}">likelihood</text>')
    for number, (kind, words) in enumerate(BORDERS.items()):
        parts.append(box(Model(words, 0, "", kind), LEFT + number * WIDTH, y + 6, None))
    size = f"0 0 {LEFT + 4 * WIDTH} {y + 38}"
    return (
        f'<figure class="model-map"><svg viewBox="{size}" role="group" aria-label="{SAYS}">'
        f"{''.join(parts)}</svg><figcaption>What is latent (rows), what time does (columns), and "
        "how the likelihood is known (borders). Each box leads to its chapter.</figcaption>"
        "</figure>"
    )


def as_text() -> list[str]:
    """The same in words, a line for each row, for paper."""
    lines = []
    for row, models in ROWS.items():
        cells = [
            f"{words}: {', '.join(m.name for m in models if m.column == column)}"
            for column, words in enumerate(COLUMNS)
            if any(m.column == column for m in models)
        ]
        lines.append(f"Latent: {row.replace(chr(10), ' ')}: {'; '.join(cells)}.")
    return lines
