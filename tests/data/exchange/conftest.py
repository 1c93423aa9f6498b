"""A simulated market behind a server of our own, and a cache that is thrown away."""

import pytest

from genfin_lib.data import simulate_candles
from genfin_lib.data.exchange import Exchange, Retry


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("GENFIN_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def candles():
    """Two and a half pages of hours, as they are after a trip over the wire."""
    return simulate_candles(2500, seed=3).map(lambda value: float(format(value, ".10g")))


@pytest.fixture
def connect():
    """A client of a server; its timeout is long, so that a busy machine causes no retry."""

    def connect(server, *, timeout=5.0, attempts=6, name="bybit"):
        retry = Retry(attempts=attempts, base=0.005)
        return Exchange(name, base_url=server.url, timeout=timeout, retry=retry, throttle=False)

    return connect
