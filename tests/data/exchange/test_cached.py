"""Fetched candles under a name: the shape of the bundled data, gaps with a warning, the command."""

import numpy as np
import pandas as pd
import pytest

from genfin_lib.data import fetch_ohlcv, load, log_returns, provenance
from genfin_lib.data.exchange import BybitReplay
from genfin_lib.data.exchange.__main__ import main

BTC, ETH = "BTC/USDT", "ETH/USDT"


@pytest.fixture
def fetched(candles, connect):
    with BybitReplay({BTC: candles, ETH: candles[100:] / 10}) as server:
        fetch_ohlcv([BTC, ETH], "1h", exchange=connect(server))
    return candles


def test_names_give_the_shapes_of_the_bundled_data(fetched):
    prices, candles = load(f"{BTC}:1h"), load(f"{BTC}:1h:ohlcv")
    assert list(prices.columns) == [BTC]
    np.testing.assert_array_equal(prices[BTC], fetched["Close"])
    for found, bundled in ((prices, load("sp500_index")), (candles, load("sp500_ohlcv"))):
        assert found.index.name == bundled.index.name
        assert found.index.tz is bundled.index.tz
        assert (found.dtypes == bundled.dtypes.iloc[0]).all()
    assert list(candles.columns) == list(load("sp500_ohlcv").columns)
    assert len(log_returns(prices)) == len(fetched) - 1


def test_several_symbols_begin_with_the_youngest(fetched):
    prices = load(f"{BTC},{ETH}:1h")
    assert list(prices.columns) == [BTC, ETH]
    assert prices.index[0] == fetched.index[100]
    np.testing.assert_allclose(prices[BTC], 10 * prices[ETH])


def test_record_changes_with_the_data(fetched, candles, connect):
    before = provenance(f"{BTC}:1h")
    assert (before["rows"], before["columns"]) == (len(candles), [BTC])
    assert before["sha256"] == provenance(f"{BTC}:1h")["sha256"]
    more = pd.concat([candles, candles[-1:].shift(1, freq="h")])
    with BybitReplay({BTC: more}) as server:
        fetch_ohlcv(BTC, "1h", exchange=connect(server))
    assert provenance(f"{BTC}:1h")["sha256"] != before["sha256"]


def test_gap_is_left_out_with_a_warning(candles, connect):
    with BybitReplay({BTC: candles.drop(candles.index[7:9])}) as server:
        fetch_ohlcv(BTC, "1h", exchange=connect(server))
    with pytest.warns(UserWarning, match=r"2 of 2500 .* first 2023-01-01 07:00:00"):
        assert len(load(f"{BTC}:1h")) == len(candles) - 2


@pytest.mark.parametrize("name", ["BTC/USDT", f"{BTC},{ETH}:1h:ohlcv", "1h:BTC/USDT"])
def test_name_that_lacks_a_part_is_refused(name):
    with pytest.raises(ValueError, match="names no fetched data"):
        load(name)


def test_missing_data_name_the_command():
    with pytest.raises(FileNotFoundError, match=r"make data SYMBOL=BTC/USDT:USDT TIMEFRAME=1d$"):
        load("BTC/USDT:USDT:1d")
    with pytest.raises(FileNotFoundError, match=r"EXCHANGE=kraken$"):
        load("kraken:BTC/USD:1d")


def test_command_fetches_and_sums_up(candles, capsys):
    with BybitReplay({BTC: candles.drop(candles.index[9])}) as server:
        assert main(["--symbol", BTC, "--url", server.url]) == 0
        assert main(["--symbol", "BTC/EUR", "--url", server.url]) == 1
    said = capsys.readouterr()
    assert "BTC/USDT 1h of bybit: 2499 candles, 2023-01-01 00:00:00 to 2023-04-15" in said.out
    assert "1 missing" in said.out
    assert 'load("BTC/USDT:1h")' in said.out
    assert "100%" in said.err
    assert "no market 'BTC/EUR'" in said.err
