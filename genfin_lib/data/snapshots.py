"""Market data by name, verified byte for byte before it is used."""

import gzip
import hashlib
import io
import json
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from genfin_lib.data.exchange.cached import fetched_record, is_fetched, load_fetched


def load(name: str) -> pd.DataFrame:
    """One data set, one line: ``load("sp500_stocks")``.

    The file's SHA-256 is compared with the one recorded when the snapshot was taken,
    so that every figure of the book starts from the same bytes.

    Args:
        name: `"sp500_index"`, `"sp500_stocks"`, `"style_factors"` (adjusted prices),
            `"sp500_ohlcv"`, `"nasdaq_ohlcv"` (open, high, low, close, volume) or
            `"fama_french"` (monthly factor returns in **percent**). Or candles that `fetch_ohlcv`
            or ``make data`` brought: `"BTC/USDT:1h"` or `"BTC/USDT,ETH/USDT:1h"` for closing
            prices, `"BTC/USDT:1h:ohlcv"` for candles, with another exchange than Bybit in front:
            `"kraken:BTC/USD:1d"`.

    Returns:
        `(dates, columns)` float64, sorted by a `DatetimeIndex` named `date`; of fetched data the
        start of the candle, UTC. No NaN: moments without a candle are left out, with a warning.

    Raises:
        ValueError: unknown name, or a file that is not the recorded one.
        FileNotFoundError: the snapshots are not installed, or the candles were not fetched.

    Units, licence and known defects of each set: the book's data sheet.
    """
    if is_fetched(name):
        return load_fetched(name)
    record = provenance(name)
    path = folder_of_data() / record["file"]
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: restore it from the repository of the book.")
    raw = path.read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    if digest != record["sha256"]:
        raise ValueError(
            f"{path} has SHA-256 {digest[:12]}..., but {record['sha256'][:12]}... is recorded: "
            "the file is damaged or was changed. Restore it from the repository of the book."
        )
    frame = pd.read_csv(
        io.BytesIO(gzip.decompress(raw)),
        index_col="date",
        parse_dates=["date"],
        date_format="%Y-%m-%d",
    )
    return frame.astype("float64")


def provenance(name: str) -> dict[str, Any]:
    """Where a data set comes from: source, licence, retrieval date, checksum, units.

    Args:
        name: As for `load`.

    Returns:
        The set's record in `data/snapshots.json`.

    Raises:
        ValueError: unknown name.
        FileNotFoundError: the snapshots are not installed.
    """
    if is_fetched(name):
        return fetched_record(name)
    records = _records(folder_of_data())
    if name not in records:
        raise ValueError(f"no data set is called {name!r}: choose one of {', '.join(records)}.")
    return dict(records[name])


def catalogue() -> pd.DataFrame:
    """All bundled data sets, one row each.

    Returns:
        `title`, `rows`, `first`, `last`, `units`, `licence`, indexed by the name that
        `load` takes.

    Raises:
        FileNotFoundError: the snapshots are not installed.
    """
    columns = ["title", "rows", "first", "last", "units", "licence"]
    table = pd.DataFrame.from_dict(_records(folder_of_data()), orient="index")[columns]
    return table.rename_axis("name")


@cache
def folder_of_data() -> Path:
    """The folder of the snapshots: the checkout's, otherwise the installed one."""
    checkout = Path(__file__).parents[2] / "data"
    user = sysconfig.get_path("data", sysconfig.get_preferred_scheme("user"))
    installed = [Path(p) / "share" / "genfin_lib" for p in (sysconfig.get_path("data"), user)]
    for folder in (checkout, *installed):
        if (folder / "snapshots.json").is_file():
            return folder
    raise FileNotFoundError(
        f"no snapshots.json in {checkout} or {installed[0]}: reinstall genfin-lib, "
        "or run from a checkout of the book."
    )


@cache
def _records(folder: Path) -> dict[str, dict[str, Any]]:
    return json.loads((folder / "snapshots.json").read_text(encoding="utf-8"))
