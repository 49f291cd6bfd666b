"""Estimators in the style of scikit-learn: anything with ``get_params`` and ``set_params``; no library is imported."""

from neuropt_core.estimators.inspect import inspect_estimator as inspect_estimator
from neuropt_core.estimators.inspect import is_estimator as is_estimator
