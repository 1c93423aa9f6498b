"""Risk: measures of loss, forecasts of them, and tests of the forecasts.

NumPy, SciPy, pandas, arch and joblib only: a risk figure does not care which model drew the sample.
"""

from genfin_lib.risk.calibration import UniformityTest, pit_uniformity
from genfin_lib.risk.comparison import (
    DieboldMarianoTest,
    ModelConfidenceSet,
    block_standard_error,
    diebold_mariano,
    model_confidence_set,
    newey_west_standard_error,
)
from genfin_lib.risk.coverage import (
    CoverageTest,
    MarkovTest,
    christoffersen,
    dynamic_quantile,
    kupiec,
    violation_rate,
    violations,
)
from genfin_lib.risk.evaluation import backtest_forecasts, joint_coverage, score_forecasts
from genfin_lib.risk.forecasters import (
    Ewma,
    Filtered,
    FilteredHistoricalSimulation,
    Forecaster,
    Garch,
    Gaussian,
    HistoricalSimulation,
    PeaksOverThreshold,
    VolatilityFilter,
)
from genfin_lib.risk.measures import (
    expected_shortfall,
    expected_shortfall_standard_error,
    gaussian_var_es,
    student_t_var_es,
    value_at_risk,
    var_confidence_interval,
)
from genfin_lib.risk.predictive import LocationScale, PredictiveDistribution
from genfin_lib.risk.scores import bits_per_dimension, crps, fz0_loss, pinball_loss
from genfin_lib.risk.shortfall import (
    AcerbiSzekelyTest,
    ShortfallTest,
    acerbi_szekely,
    acerbi_szekely_critical_value,
    exceedance_residuals,
)
from genfin_lib.risk.stylized_facts import compare_stylized_facts, hill_index, stylized_facts
from genfin_lib.risk.walk_forward import walk_forward

__all__ = [
    "AcerbiSzekelyTest",
    "CoverageTest",
    "DieboldMarianoTest",
    "Ewma",
    "Filtered",
    "FilteredHistoricalSimulation",
    "Forecaster",
    "Garch",
    "Gaussian",
    "HistoricalSimulation",
    "LocationScale",
    "MarkovTest",
    "ModelConfidenceSet",
    "PeaksOverThreshold",
    "PredictiveDistribution",
    "ShortfallTest",
    "UniformityTest",
    "VolatilityFilter",
    "acerbi_szekely",
    "acerbi_szekely_critical_value",
    "backtest_forecasts",
    "bits_per_dimension",
    "block_standard_error",
    "christoffersen",
    "compare_stylized_facts",
    "crps",
    "diebold_mariano",
    "dynamic_quantile",
    "exceedance_residuals",
    "expected_shortfall",
    "expected_shortfall_standard_error",
    "fz0_loss",
    "gaussian_var_es",
    "hill_index",
    "joint_coverage",
    "kupiec",
    "model_confidence_set",
    "newey_west_standard_error",
    "pinball_loss",
    "pit_uniformity",
    "score_forecasts",
    "student_t_var_es",
    "stylized_facts",
    "value_at_risk",
    "var_confidence_interval",
    "violation_rate",
    "violations",
    "walk_forward",
]
