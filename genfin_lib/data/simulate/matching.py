"""A matching engine for orders of one lot: the part of an exchange that a simulator needs."""

BID, ASK = 0, 1
SIGN = (-1, 1)  # from the best price of a side into its depth
TICKS = 20_000  # prices 0 ... 19,999 ticks; the book starts in the middle


class MatchingEngine:
    """Lots resting at each price, the best price of each side always occupied.

    Bids lie below asks, so one list of lots by price serves both sides. Plain lists and whole
    numbers: this is the inner loop of the simulator.

    Attributes:
        lots: Lots resting at each price in ticks.
        best: Best bid and best ask, ticks.
        total: Lots of each side.
    """

    def __init__(self, depth: list[int]) -> None:
        """Start with a spread of one tick and `depth[i]` lots, one or more, at level `i`."""
        middle = TICKS // 2
        self.lots = [0] * TICKS
        self.best = [middle, middle + 1]
        self.total = [sum(depth), sum(depth)]
        for level, lots in enumerate(depth):
            self.lots[middle - level] = self.lots[middle + 1 + level] = lots

    def add(self, side: int, distance: int) -> None:
        """One lot of `side`, `distance >= 1` ticks from the best price of the *other* side."""
        sign = SIGN[side]
        price = self.best[1 - side] + sign * distance
        self.lots[price] += 1
        self.total[side] += 1
        if (price - self.best[side]) * sign < 0:
            self.best[side] = price

    def cancel(self, side: int, u: float) -> None:
        """Withdraw one of the lots of `side`, each equally likely for `u` uniform on [0, 1)."""
        rank, price = int(u * self.total[side]), self.best[side]
        while rank >= self.lots[price]:
            rank -= self.lots[price]
            price += SIGN[side]
        self._remove(side, price, 1)

    def take(self, side: int, size: int) -> list[tuple[int, int]]:
        """Fill a market order against `side`, best price first; the last lot is never sold.

        Returns:
            Price in ticks and lots of each fill.
        """
        fills, size = [], min(size, self.total[side] - 1)
        while size > 0:
            price = self.best[side]
            filled = min(size, self.lots[price])
            self._remove(side, price, filled)
            fills.append((price, filled))
            size -= filled
        return fills

    def _remove(self, side: int, price: int, lots: int) -> None:
        self.lots[price] -= lots
        self.total[side] -= lots
        while not self.lots[self.best[side]]:
            self.best[side] += SIGN[side]
