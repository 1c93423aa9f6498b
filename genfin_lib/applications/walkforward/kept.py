"""Fitted forecasters kept on disk: a long run that was cut short goes on where it was."""

import hashlib
from pathlib import Path
from typing import Any, Self

import pandas as pd

from genfin_lib.applications.forecasters import FlowForecaster


class KeptFlow(FlowForecaster):
    """A `FlowForecaster` that fits once on the same rows with the same settings, ever.

    Each fit is a file, named after a digest of the rows and of every setting. Several forecasters
    that contain the same flow, an ensemble and its members, pay for it once.

    Args:
        folder: Where fits are kept.
        settings: As for `FlowForecaster`.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(**settings)
        self.folder = folder
        self.settings = settings

    def fit(self, history: pd.DataFrame) -> Self:
        digest = hashlib.sha256(repr(sorted(self.settings.items())).encode())
        digest.update(pd.util.hash_pandas_object(history).to_numpy().tobytes())
        digest.update(repr(list(history.columns)).encode())
        path = self.folder / f"{digest.hexdigest()[:24]}.pt"
        if path.exists():
            return self.load(path)
        super().fit(history)
        self.save(path)
        return self
