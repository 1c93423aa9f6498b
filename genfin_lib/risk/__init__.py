"""Risk: measures of loss, forecasts of them, and tests of the forecasts.

NumPy, SciPy, pandas and arch only: a risk figure does not care which model drew the sample.
"""

from genfin_lib.risk.bands import compare_stylized_facts, hill_index, stylized_facts
from genfin_lib.risk.measures import (
    expected_shortfall,
    expected_shortfall_standard_error,
    gaussian_var_es,
    student_t_var_es,
    value_at_risk,
    var_confidence_interval,
)
from genfin_lib.risk.scores import block_standard_error

__all__ = [
    "block_standard_error",
    "compare_stylized_facts",
    "expected_shortfall",
    "expected_shortfall_standard_error",
    "gaussian_var_es",
    "hill_index",
    "student_t_var_es",
    "stylized_facts",
    "value_at_risk",
    "var_confidence_interval",
]
