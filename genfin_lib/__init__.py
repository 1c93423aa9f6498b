"""Deep generative models for finance: the small library of the book.

`flows` and `latent` hold the models, `rivals` two others to compare them with; `training` fits
any of them. `data` brings market data from committed snapshots to tensors without looking ahead,
`risk` turns samples and forecasts into VaR and ES and judges them, `trading` turns forecasts into
positions and judges these, `plotting` draws. In `applications` models meet markets, in runs of
minutes to hours. Importing `genfin_lib` alone loads none of these: import the part you need, for
example ``from genfin_lib.data import load``.
"""

__version__ = "0.1.0"
