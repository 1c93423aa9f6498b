"""A long history out of short pages, oldest first, without a silent hole."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

# A request: first millisecond, first one no longer wanted, most rows. Rows begin with their time.
Ask = Callable[[int, int, int], list]

_ANSWERS = 5  # at most, to one question


def pages(
    ask: Ask,
    *,
    columns: list[str],
    step: int,
    limit: int,
    start: int,
    end: int,
    grid: bool = True,
) -> Iterator[tuple[int, int, pd.DataFrame]]:
    """Rows from `start` to `end`, a page at a time, each with the stretch of time it settles.

    Four rules, each for something that exchanges do. A window is two rows shorter than a page: in
    a full page, a row sent twice pushes another one out. Where a row of the grid is missing the
    window is asked for once more: a page may have been cut short. A gap is believed when two
    answers in a row agree on it. And **a stretch never ends later than the last row that came**:
    an exchange that is late with its newest candle has not said that there is none.

    Args:
        ask: One request.
        columns: Names of the values that follow the time in a row.
        step: Milliseconds from row to row, or the least that can be.
        limit: Most rows in one answer.
        start: Millisecond of the first row wanted.
        end: The first one no longer wanted.
        grid: There should be a row at each step; otherwise nothing counts as missing.

    Yields:
        `(begin, stop, rows)`: everything in `[begin, stop)` that exists, indexed by `time` in
        milliseconds. Stretches touch, so that a gap lies inside one of them. Nothing is yielded for
        a trailing part without rows.

    Raises:
        ValueError: a value that is no finite number.
    """
    settled = cursor = start
    while cursor < end:
        stop = min(cursor + max(limit - 2, 1) * step, end)
        rows = last = _table(ask(cursor, stop, limit), columns, cursor, stop)
        for _ in range(_ANSWERS - 1):
            if not grid or len(rows) == (stop - cursor) // step:
                break
            again = _table(ask(cursor, stop, limit), columns, cursor, stop)
            rows = _latest(pd.concat([rows, again]))
            if again.index.equals(last.index):
                break
            last = again
        if rows.empty:
            cursor = stop
        else:
            cursor = int(rows.index[-1]) + step
            yield settled, cursor, rows
            settled = cursor


def on_grid(rows: pd.DataFrame, *, step: int) -> pd.DataFrame:
    """The same rows at every step from the first to the last, NaN where there is none."""
    if rows.empty:
        return rows
    full = np.arange(rows.index[0], rows.index[-1] + step, step)
    return rows.reindex(pd.Index(full, name=rows.index.name))


def _table(answer: list, columns: list[str], start: int, stop: int) -> pd.DataFrame:
    """Rows of an answer inside the window, in order, each time once."""
    times = np.array([int(row[0]) for row in answer], dtype=np.int64)
    values = np.array([row[1 : len(columns) + 1] for row in answer], dtype=np.float64)
    values = values.reshape(-1, len(columns))  # also of no rows
    whole = np.isfinite(values).all(axis=1)
    if not whole.all():
        raise ValueError(
            f"the exchange sent {answer[int(whole.argmin())]}, no finite number where one is "
            "needed: nothing of this page is kept; ask again later."
        )
    rows = pd.DataFrame(values, pd.Index(times, name="time"), columns=columns)
    return _latest(rows[(times >= start) & (times < stop)])


def _latest(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~rows.index.duplicated(keep="last")].sort_index()
