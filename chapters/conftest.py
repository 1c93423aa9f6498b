"""Slack for figures of trained networks, when nbval compares them with stored ones.

Two processors add in another order, and a few thousand steps of training make a
difference in the third digit of it. A cell with the tag ``within-5-percent`` agrees if
its text is the same and each number is within 5 per cent of the stored one, or within
one and a half units of its last digit. Cells without such a tag agree to the letter.
"""

import copy
import re
from typing import Any

from nbval.plugin import IPyNbCell

# Students' versions fail until they are filled in.
collect_ignore_glob = ["*/assignment/student/*"]

TAG = re.compile(r"within-(\d+)-percent")
NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?"
)


def agree(new: str, stored: str, share: float) -> bool:
    """Whether two texts differ in nothing but numbers, and in these by little.

    Widths of columns follow the numbers in them, so white space does not count.
    """
    words = [" ".join(NUMBER.sub(" # ", text).split()) for text in (new, stored)]
    if words[0] != words[1]:
        return False
    for left, right in zip(NUMBER.findall(new), NUMBER.findall(stored), strict=True):
        a, b = (float(text.replace(",", "")) for text in (left, right))
        mantissa, _, exponent = right.partition("e")
        unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
        if abs(a - b) > max(share * max(abs(a), abs(b)), 1.5 * unit):
            return False
    return True


def settled(
    new: dict[str, Any], stored: dict[str, Any], share: float
) -> dict[str, Any]:
    """The new output, with the stored text wherever the two agree."""
    result = copy.deepcopy(new)
    for part, kept in (
        (result, stored),
        (result.get("data", {}), stored.get("data", {})),
    ):
        for key in {"text", "text/plain", "text/html"} & set(part) & set(kept):
            if agree(part[key], kept[key], share):
                part[key] = kept[key]
    return result


_compare = IPyNbCell.compare_outputs


def compare_outputs(self: Any, test: list, ref: list, skip_compare: Any = None) -> bool:
    """Compare as nbval does, after the slack that the cell asks for."""
    slack = [TAG.fullmatch(tag) for tag in self.cell.metadata.get("tags", [])]
    shares = [int(match.group(1)) / 100 for match in slack if match]
    if shares and len(test) == len(ref):
        test = [settled(a, b, shares[0]) for a, b in zip(test, ref, strict=True)]
    same: bool = _compare(self, test, ref, skip_compare)
    return same


IPyNbCell.compare_outputs = compare_outputs
