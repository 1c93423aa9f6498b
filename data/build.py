"""Write the snapshots of data/ and their record, from the packages that hold the sources.

Maintainers run ``python data/build.py``; readers never need to. Every file is written
again and its checksum printed, so `git diff --stat data/` shows what has changed at the
source. After a change set `RETRIEVED` and correct the data sheet.
"""

import gzip
import hashlib
import io
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import arch.data.frenchdata
import arch.data.nasdaq
import arch.data.sp500
import pandas as pd
import skfolio.datasets

HERE = Path(__file__).parent
RETRIEVED = "2026-11-21"
SKFOLIO = ("skfolio", "BSD-3-Clause")
ARCH = ("arch", "NCSA")  # the University of Illinois/NCSA licence
UNSTATED = "not stated by the package"
YAHOO = "not stated by the package; the column names are those of Yahoo Finance"


class Source(NamedTuple):
    """One data set before it is written."""

    title: str
    what: str
    units: str
    package: tuple[str, str]
    loader: str
    publisher: str
    read: Callable[[], pd.DataFrame]


def fama_french() -> pd.DataFrame:
    """The monthly factors with the dates that their yyyymm index means.

    The package reads 192607 as nanoseconds after 1970-01-01. A month is dated by its
    last calendar day here, because its return is known only then.
    """
    table = arch.data.frenchdata.load()
    months = table.index.astype("int64").astype(str)
    dates = pd.to_datetime(months, format="%Y%m") + pd.offsets.MonthEnd()
    return table.set_axis(dates)


SOURCES = {
    "sp500_index": Source(
        "S&P 500 index, daily",
        "closing level of the price index, without dividends",
        "index points",
        SKFOLIO,
        "skfolio.datasets.load_sp500_index",
        "S&P Dow Jones Indices, by a way not stated by the package",
        skfolio.datasets.load_sp500_index,
    ),
    "sp500_stocks": Source(
        "20 large US stocks, daily",
        "closing prices adjusted for splits and dividends, by ticker",
        "US dollars, adjusted",
        SKFOLIO,
        "skfolio.datasets.load_sp500_dataset",
        UNSTATED,
        skfolio.datasets.load_sp500_dataset,
    ),
    "style_factors": Source(
        "Five US style-factor funds, daily",
        "closing prices of exchange-traded funds adjusted for dividends: MTUM momentum, "
        "QUAL quality, SIZE size, USMV minimum volatility, VLUE value",
        "US dollars, adjusted",
        SKFOLIO,
        "skfolio.datasets.load_factors_dataset",
        UNSTATED,
        skfolio.datasets.load_factors_dataset,
    ),
    "sp500_ohlcv": Source(
        "S&P 500 index, daily bars",
        "open, high, low, close, adjusted close, volume",
        "index points; shares",
        ARCH,
        "arch.data.sp500.load",
        YAHOO,
        arch.data.sp500.load,
    ),
    "nasdaq_ohlcv": Source(
        "NASDAQ Composite index, daily bars",
        "open, high, low, close, adjusted close, volume",
        "index points; shares",
        ARCH,
        "arch.data.nasdaq.load",
        YAHOO,
        arch.data.nasdaq.load,
    ),
    "fama_french": Source(
        "Fama-French three factors, monthly",
        "excess return of the US market (Mkt-RF), size (SMB), value (HML), Treasury bill (RF)",
        "simple returns, per cent per month",
        ARCH,
        "arch.data.frenchdata.load",
        "Kenneth R. French, data library",
        fama_french,
    ),
}


def frame(source: Source) -> pd.DataFrame:
    """The data set as `genfin_lib.data.load` will return it."""
    return source.read().astype("float64").rename_axis("date")


def write(name: str, source: Source) -> dict[str, object]:
    """Write one snapshot and return its record."""
    table = frame(source)
    # to_csv writes the shortest decimals that read back to the same float64.
    text = table.to_csv(date_format="%Y-%m-%d", lineterminator="\n").encode()
    packed = io.BytesIO()
    # No file name and no time in the header: the same data give the same bytes.
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(text)
    (HERE / f"{name}.csv.gz").write_bytes(packed.getvalue())
    package, licence = source.package
    return {
        "file": f"{name}.csv.gz",
        "title": source.title,
        "what": source.what,
        "units": source.units,
        "source": f"{source.loader}, {package} {version(package)}",
        "publisher": source.publisher,
        "licence": licence,
        "retrieved": RETRIEVED,
        "rows": len(table),
        "columns": list(table.columns),
        "first": f"{table.index[0]:%Y-%m-%d}",
        "last": f"{table.index[-1]:%Y-%m-%d}",
        "sha256": hashlib.sha256(packed.getvalue()).hexdigest(),
    }


def main() -> None:
    """Write all snapshots and `snapshots.json`, and print the checksums."""
    records = {name: write(name, source) for name, source in SOURCES.items()}
    text = json.dumps(records, indent=2) + "\n"
    (HERE / "snapshots.json").write_text(text, encoding="utf-8")
    for record in records.values():
        print(record["sha256"], record["file"])


if __name__ == "__main__":
    main()
