"""The look of every figure: one colour for one model, one set of defaults."""

import matplotlib.pyplot as plt
from cycler import cycler

COLORS = {
    "data": "#222222",
    "Gaussian": "#D55E00",
    "Student-t": "#009E73",
    "historical": "#8C6D1F",
    "NICE": "#56B4E9",
    "NICE-t": "#CC79A7",
    "RealNVP": "#0072B2",
    "RealNVP-t": "#882255",
    "EWMA": "#E69F00",
    "EWMA, FHS": "#999933",
    "GARCH": "#AA4499",
    "GARCH-t": "#44AA99",
    "GJR, FHS": "#6699CC",
    "GJR, EVT": "#117733",
    "GJR skew-t": "#332288",
    "MAF": "#C2185B",
    "spline coupling": "#1B7837",
    "spline autoregressive": "#7FBC41",
    "Gaussian base": "#80B1D3",
    "t base": "#A50F15",
    "two-sided base": "#F768A1",
    "tail transform": "#41AB5D",
    "likelihood": "#DDAA33",
    "matching": "#4B0092",
    "regimes": "#CC6677",
    "Glow": "#7A0177",
    "PPCA": "#CC8963",
    "FA": "#1F6E8C",
    "mixture": "#B8860B",
    "state space": "#2A7F62",
    "recurrent": "#6A3D9A",
    "hidden Markov": "#5B3A8C",
    "flow": "#D81B60",
    "no spline": "#5E3C99",
    "flow with GJR, EVT": "#2F4B7C",
    "band": "#BBBBBB",
}


def use_style() -> None:
    """Set the book's figure style; called once, in the imports cell of each notebook."""
    plt.rcParams.update(
        {
            "figure.figsize": (6.6, 3.7),
            "figure.dpi": 120,
            # A white ground of its own keeps a figure legible on a dark page.
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 10,
            "axes.prop_cycle": cycler(color=list(COLORS.values())),
            "legend.frameon": False,
            "lines.linewidth": 1.6,
            "image.cmap": "Blues",
        }
    )
