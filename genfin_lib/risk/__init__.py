"""Risk: measures of loss, forecasts of them, and tests of the forecasts.

NumPy, SciPy and pandas only: a risk figure does not care which model drew the sample.
"""

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
    "expected_shortfall",
    "expected_shortfall_standard_error",
    "gaussian_var_es",
    "student_t_var_es",
    "value_at_risk",
    "var_confidence_interval",
]
