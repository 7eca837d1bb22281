"""The checks of scikit-learn, the examples in the docstring, and a quiet standard output."""

import doctest
import warnings

import pandas as pd
import pytest
from signed_instances import random_weights
from sklearn.utils.estimator_checks import check_estimator

from telescope_transformer.correlation_clustering import CorrelationClustering, estimator

# The check passes 50 vectors of two numbers, which are not weights of pairs.
OF_VECTORS = {"check_clustering": "fits vectors, whatever the pairwise tag says"}


@pytest.mark.parametrize(("affinity", "but"), [("inner_product", {}), ("precomputed", OF_VECTORS)])
def test_the_estimator_passes_the_checks_of_scikit_learn(affinity: str, but: dict[str, str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(
            CorrelationClustering(affinity=affinity), expected_failed_checks=but, on_fail=None, on_skip=None
        )
    failed = [(found["check_name"], found["exception"]) for found in results if found["status"] == "failed"]
    assert not failed
    assert sum(found["status"] == "passed" for found in results) >= 40


@pytest.mark.parametrize("name", ["labels_", "cost_", "lower_bound_", "gap_", "n_features_in_"])
def test_fitted_attributes_do_not_exist_before_fit(name: str) -> None:
    assert not hasattr(CorrelationClustering(), name)


def test_the_examples_in_the_docstring_run() -> None:
    results = doctest.testmod(estimator)
    assert results.attempted > 10
    assert results.failed == 0


def test_no_solver_writes_to_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    for method in ("auto", "lp", "local_search", "greedy"):
        CorrelationClustering(method=method, random_state=0).fit(random_weights(1, 12))
    assert capfd.readouterr() == ("", "")


def test_names_of_columns_are_those_of_the_last_fit() -> None:
    table = pd.DataFrame([[1.0, 0.0], [0.9, 0.1]], columns=["bytes", "packets"])
    solver = CorrelationClustering(affinity="inner_product", threshold=0.5)
    assert solver.fit(table).feature_names_in_.tolist() == ["bytes", "packets"]
    assert solver.fit_embeddings(table[["packets"]], 0.5).feature_names_in_.tolist() == ["packets"]
    assert not hasattr(solver.fit_embeddings(table.to_numpy(), 0.5), "feature_names_in_")
