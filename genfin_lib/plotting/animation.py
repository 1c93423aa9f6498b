"""Animations that ask no other host for anything."""

import base64
import io
from collections.abc import Callable
from html import escape

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure


def player(
    draw: Callable[[Figure, float], object],
    *,
    frames: int = 21,
    alt: str,
    figsize: tuple[float, float] = (6.6, 3.4),
) -> str:
    """Return an animation as self-contained HTML: a slider and a button, nothing else.

    It starts still and moves only when asked, works from the keyboard, and asks no other host
    for scripts or fonts, which matplotlib's own player does.

    Args:
        draw: Draws on an empty figure the state at time ``t`` in [0, 1].
        frames: Number of pictures.
        alt: What the animation shows, for readers who do not see it.
        figsize: Size of a picture in inches.
    """
    pictures = []
    for t in np.linspace(0, 1, frames):
        figure = plt.figure(figsize=figsize, dpi=80)
        draw(figure, float(t))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="webp", pil_kwargs={"quality": 75})
        plt.close(figure)
        pictures.append("data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode())
    sources = ",".join(f'"{picture}"' for picture in pictures)
    return f"""<div class="player" style="max-width:{figsize[0] * 80:.0f}px">
<img src="{pictures[0]}" alt="{escape(alt, quote=True)}" style="width:100%">
<div style="display:flex;gap:.6em;align-items:center">
<button type="button" style="min-width:4.5em">Play</button>
<input type="range" min="0" max="{frames - 1}" value="0" aria-label="position in the animation"
 style="flex:1"></div>
<script>(() => {{
const root = document.currentScript.parentElement, frames = [{sources}];
const [img, button, slider] = ["img", "button", "input"].map((tag) => root.querySelector(tag));
let timer = null;
const show = (k) => {{ img.src = frames[k]; slider.value = k; }};
const stop = () => {{ clearInterval(timer); timer = null; button.textContent = "Play"; }};
slider.oninput = () => {{ stop(); show(+slider.value); }};
button.onclick = () => {{
  if (timer) return stop();
  if (+slider.value === frames.length - 1) show(0);
  button.textContent = "Pause";
  timer = setInterval(() => {{
    if (+slider.value === frames.length - 1) return stop();
    show(+slider.value + 1);
  }}, 120);
}};
}})();</script></div>"""
