"""The published defaults of the simulators are those of the code."""

import inspect
import re
from pathlib import Path

import pytest

from genfin_lib.data import (
    simulate_candles,
    simulate_factors,
    simulate_garch,
    simulate_multiscale,
    simulate_order_book,
    simulate_regimes,
)

SHEET = Path(__file__).parents[3] / "chapters" / "appendix" / "data_sheet.md"
SIMULATORS = [
    simulate_garch,
    simulate_regimes,
    simulate_multiscale,
    simulate_candles,
    simulate_factors,
    simulate_order_book,
]


def published(name):
    section = SHEET.read_text(encoding="utf-8").split(f"### {name}\n")[1].split("\n## ")[0]
    section = section.split("\n### ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \| ", section, flags=re.MULTILINE))


@pytest.mark.parametrize("simulator", SIMULATORS, ids=lambda f: f.__name__)
def test_defaults_are_in_the_data_sheet(simulator):
    parameters = inspect.signature(simulator).parameters.values()
    defaults = {p.name: str(p.default) for p in parameters if p.default is not p.empty}
    assert published(simulator.__name__) == defaults


@pytest.mark.parametrize("simulator", SIMULATORS, ids=lambda f: f.__name__)
def test_docstrings_say_simulated(simulator):
    assert simulator.__doc__.startswith("Simulate")
    assert "simulated" in simulator.__doc__
