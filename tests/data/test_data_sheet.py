"""The data sheet cannot drift: its tables and defects are recomputed from the snapshots.

A failure shows the line that the sheet lacks; paste it there once the change is understood.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from genfin_lib.data import catalogue, load, log_returns, provenance, simple_returns

SHEET = Path(__file__).parents[2] / "chapters" / "appendix" / "data_sheet.md"
NAMES = ["sp500_index", "sp500_stocks", "style_factors", "sp500_ohlcv", "nasdaq_ohlcv"]
NAMES += ["fama_french"]


@pytest.fixture(scope="module")
def sheet():
    """The text with every run of white space as one blank, so that lines may break anywhere."""
    return re.sub(r"\s+", " ", SHEET.read_text(encoding="utf-8"))


def record_table(name):
    record = provenance(name)
    return [
        f"| Content | {record['title']}: {record['what']} |",
        f"| Period, rows | {record['first']} to {record['last']}, {record['rows']:,} rows |",
        f"| Columns | {', '.join(record['columns'])} |",
        f"| Units | {record['units']} |",
        f"| Source | {record['source']}, retrieved {record['retrieved']} |",
        f"| Publisher | {record['publisher']} |",
        f"| Licence | {record['licence']} |",
        f"| SHA-256 | `{record['sha256']}` |",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_record_of_each_set_is_in_the_sheet(sheet, name):
    assert list(catalogue().index) == NAMES
    missing = [line for line in record_table(name) if line not in sheet]
    assert not missing, "\n".join(missing)


def stock_rows():
    prices = load("sp500_stocks")
    x, simple = log_returns(prices), 100 * simple_returns(prices)
    for name in prices:
        zero = 100 * (x[name] == 0)
        worst = int(x[name].abs().argmax())
        yield (
            f"| {name} | {zero[:'1999'].mean():.1f} | {zero['2000':'2009'].mean():.1f} "
            f"| {zero['2010':].mean():.1f} | {0.1 / prices[name].min():.2f} "
            f"| {x.index[worst]:%Y-%m-%d} | {simple[name].iloc[worst]:+.1f} "
            f"| {simple[name].iloc[worst + 1]:+.1f} |"
        )


def test_defects_of_each_stock_are_in_the_sheet(sheet):
    missing = [line for line in stock_rows() if line not in sheet]
    assert not missing, "\n".join(missing)


def test_defects_of_range_resources_are_in_the_sheet(sheet):
    prices = load("sp500_stocks")["RRC"]
    zero = 100 * (log_returns(prices) == 0)
    shares = [f"{zero[str(year)].mean():.0f} %" for year in (1990, 1991, 1992)]
    assert "{}, {} and {} of its days".format(*shares) in sheet
    assert f"on {prices[:'1992'].nunique()} different prices" in sheet
    first_move = int((log_returns(prices) != 0).argmax())
    assert f"unchanged on the first {first_move + 1} days" in sheet


def yearly(growth, days):
    return 100 * (growth ** (252 / days) - 1)


def test_survivorship_is_in_the_sheet(sheet):
    stocks, index = load("sp500_stocks"), load("sp500_index")["SP500"]
    mix = simple_returns(stocks).mean(axis=1)
    equal = yearly((1 + mix).prod(), len(mix))
    market = yearly(index.iloc[-1] / index.iloc[0], len(index) - 1)
    assert f"grew by {equal:.1f} % a year, the index by {market:.1f} %" in sheet


def test_defects_of_the_index_bars_are_in_the_sheet(sheet):
    for name, title in (("sp500_ohlcv", "S&P 500"), ("nasdaq_ohlcv", "NASDAQ")):
        bars = load(name)
        flat = (bars["Open"] == bars["Close"].shift()).iloc[1:]
        extreme = (bars["Open"] == bars["High"]) | (bars["Open"] == bars["Low"])
        assert (bars["Adj Close"] == bars["Close"]).all()
        assert (bars["High"] >= bars[["Open", "Close"]].max(axis=1)).all()
        assert (bars["Low"] <= bars[["Open", "Close"]].min(axis=1)).all()
        line = (
            f"| {title} | {100 * flat[:'2005'].mean():.1f} "
            f"| {100 * flat['2006':'2013'].mean():.1f} "
            f"| {100 * flat['2014':].mean():.1f} | {100 * flat.mean():.1f} "
            f"| {100 * extreme.mean():.1f} | {(bars['Volume'] == 0).sum()} |"
        )
        assert line in sheet, line


DOUBTFUL_VOLUMES = {
    "sp500_ohlcv": "2008-08-05, 2010-12-22, 2011-02-18, 2011-02-22, 2011-02-23, 2011-02-24, "
    "2011-02-28, 2011-03-01, 2011-03-02",
    "nasdaq_ohlcv": "2012-05-29, 2015-05-12, 2018-01-09",
}


@pytest.mark.parametrize("name", DOUBTFUL_VOLUMES)
def test_doubtful_volumes_are_in_the_sheet(sheet, name):
    """Below 0.35 of the median of 61 days, but for half sessions near Thanksgiving, Christmas."""
    volume = load(name)["Volume"]
    share = volume / volume.rolling(61, center=True, min_periods=31).median()
    date = share.index
    half_session = (date.month == 12) & (date.day >= 24) | (date.month == 11) & (
        date.day_of_week == 4
    )
    days = ", ".join(f"{day:%Y-%m-%d}" for day in date[(share < 0.35) & ~half_session])
    assert days == DOUBTFUL_VOLUMES[name]
    assert days in sheet


def test_index_snapshots_agree_where_they_overlap(sheet):
    index, bars = load("sp500_index")["SP500"], load("sp500_ohlcv")["Close"]
    common = index.index.intersection(bars.index)
    np.testing.assert_allclose(index[common], bars[common], atol=1e-3)
    assert f"to the cent on all {len(common):,} common days" in sheet
    still = [f"{day:%Y-%m-%d}" for day in log_returns(index).index[log_returns(index) == 0]]
    assert f"{len(still)} days ({', '.join(still)})" in sheet


def test_stale_prices_of_the_funds_are_in_the_sheet(sheet):
    zero = 100 * (log_returns(load("style_factors")) == 0)
    for name in zero:
        line = (
            f"| {name} | {zero[name]['2014'].mean():.1f} | {zero[name]['2015'].mean():.1f} "
            f"| {zero[name]['2016':].mean():.1f} |"
        )
        assert line in sheet, line


def test_months_of_negative_bill_returns_are_in_the_sheet(sheet):
    bill = load("fama_french")["RF"]
    negative = bill[bill < 0]
    assert (
        f"negative in {len(negative)} months from {negative.index[0]:%Y-%m} "
        f"to {negative.index[-1]:%Y-%m}" in sheet
    )


def test_the_check_sees_a_changed_figure(sheet):
    """The test can fail: one digit of the checksum changed."""
    digest = provenance("sp500_index")["sha256"]
    assert digest in sheet
    assert ("0" if digest[0] != "0" else "1") + digest[1:] not in sheet
