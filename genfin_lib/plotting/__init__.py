"""One figure style for the book. Every drawing function takes ``ax`` and returns it.

Data are dark; a model has the same colour in every chapter. The colours follow Okabe and Ito (2008,
https://jfly.uni-koeln.de/color/), which people with any common colour vision can tell apart, with
darker companions for variants of a model.
"""

from genfin_lib.plotting.animation import player
from genfin_lib.plotting.models import density, learning_curve, partway, stretched_grid
from genfin_lib.plotting.style import COLORS, use_style
from genfin_lib.plotting.tails import loss_tail, qq_plot

__all__ = [
    "COLORS",
    "density",
    "learning_curve",
    "loss_tail",
    "partway",
    "player",
    "qq_plot",
    "stretched_grid",
    "use_style",
]
