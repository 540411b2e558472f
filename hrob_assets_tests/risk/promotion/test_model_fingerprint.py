from dataclasses import replace

import numpy as np
import pytest
import skops.io

from hrob_assets.risk.models.recalibration import Recalibration
from hrob_assets.risk.models.types import family_names
from hrob_assets.risk.promotion.model_fingerprint import invented_rows, model_fingerprint
from hrob_assets.risk.training.predict import predict
from hrob_assets_tests.example import fitted
from hrob_assets_tests.risk.models.test_base import fitted as fit_family


def read_back(estimator):
    """The estimator after the file of a registry."""
    data = skops.io.dumps(estimator)
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


MANY = tuple(f"code_{n}__count_90d" for n in range(400))


@pytest.mark.parametrize("name", family_names())
def test_a_model_that_is_fitted_again_or_read_from_a_file_is_the_same(name):
    model = fit_family(name)

    again, stored = fit_family(name), replace(model, estimator=read_back(model.estimator))

    assert model_fingerprint(model) == model_fingerprint(again) == model_fingerprint(stored)


@pytest.mark.parametrize("name", family_names())
def test_a_model_of_other_calibration_is_another(name):
    model = fit_family(name)

    other = replace(model, recalibration=Recalibration(1e-4, 1.0))

    assert model_fingerprint(model) != model_fingerprint(other)


def test_what_does_not_change_a_probability_has_no_part():
    model = fitted(MANY[:2], [1.0, 2.0])

    assert model_fingerprint(model) == model_fingerprint(
        replace(model, threshold=0.1, training_rows=7)
    )


@pytest.mark.parametrize("changed", [0, 199, 399])
def test_a_small_change_of_one_weight_of_many_is_seen(changed):
    weights = np.linspace(-0.3, 0.3, len(MANY))
    other = weights.copy()
    other[changed] += 1e-6

    assert model_fingerprint(fitted(MANY, weights)) != model_fingerprint(fitted(MANY, other))


def test_probabilities_of_invented_rows_are_not_0_or_1():
    said = predict(fitted(MANY, [0.5] * len(MANY), intercept=-3.0), invented_rows(MANY))

    assert np.mean((said > 1e-6) & (said < 1 - 1e-6)) > 0.9
