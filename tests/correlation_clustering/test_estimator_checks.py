"""scikit-learn's own checks of an estimator."""

import warnings

import pytest
from sklearn.utils.estimator_checks import check_estimator

from telescope_transformer.correlation_clustering import CorrelationClustering

# Its points are 50 vectors of two numbers, which are no weights of pairs: they would be fitted by `fit_embeddings`.
NOT_PAIRWISE = {"check_clustering": "fits vectors, whatever the pairwise tag says"}


def test_it_passes_the_checks_of_scikit_learn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(
            CorrelationClustering(), expected_failed_checks=NOT_PAIRWISE, on_fail=None, on_skip=None
        )
    failed = [(found["check_name"], found["exception"]) for found in results if found["status"] == "failed"]
    assert not failed
    assert sum(found["status"] == "passed" for found in results) >= 40


@pytest.mark.parametrize("name", ["labels_", "cost_", "lower_bound_", "gap_", "n_features_in_"])
def test_nothing_is_there_before_a_fit(name: str) -> None:
    assert not hasattr(CorrelationClustering(), name)
