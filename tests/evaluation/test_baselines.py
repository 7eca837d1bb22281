"""The baselines: each represents windows that it was not fitted on, and finds the similarities that it should."""

import numpy as np
import pyarrow as pa
import pytest

from telescope_transformer.errors import DatasetError
from telescope_transformer.evaluation.baselines import METHODS, pair_features, word2vec
from telescope_transformer.evaluation.baselines.services import tfidf
from telescope_transformer.evaluation.measure import EvaluationSuite
from telescope_transformer.evaluation.protocol import Split, make_split
from telescope_transformer.evaluation.windows import WindowSet
from telescope_transformer.simulation import simulate
from telescope_transformer.windows import cut_windows

CHEAP = [name for name in METHODS if name not in ("darkvec_hour", "untrained")]


@pytest.fixture(scope="module")
def split() -> Split:
    table = simulate(90, 1, records_per_source=50.0, days=3.0)
    return make_split(cut_windows(table, window=8, min_records=8), 8)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word2vec, "EPOCHS", 2)


@pytest.mark.parametrize("name", CHEAP)
def test_a_method_gives_a_symmetric_similarity_and_repeats_itself(split: Split, name: str) -> None:
    if "vec" in name or name == "dante":
        pytest.importorskip("gensim")
    found = [METHODS[name].fit(split, 3)(split.unseen_sources) for _ in range(2)]
    similarity = found[0].similarity
    assert similarity.shape == (len(split.unseen_sources),) * 2
    assert np.isfinite(similarity).all()
    np.testing.assert_allclose(similarity, similarity.T, atol=1e-6)
    np.testing.assert_array_equal(similarity, found[1].similarity)


def test_length_alone_is_random_and_supervision_is_best(split: Split) -> None:
    questions = EvaluationSuite(split.unseen_sources, replicates=0)
    auroc = {}
    for name in ("length_only", "tfidf_with_timing", "pair_classifier"):
        figures = questions.answer(METHODS[name].fit(split, 0)(split.unseen_sources).similarity)
        auroc[name] = figures["same_source"]["auroc"][0]
    assert auroc["length_only"] == 0.5
    assert auroc["tfidf_with_timing"] > 0.6
    assert auroc["pair_classifier"] > auroc["tfidf_with_timing"]


def test_frequencies_are_those_of_the_training_windows() -> None:
    train = np.array([[1, 1], [1, 2], [1, 3]])
    weights = tfidf(train, np.array([[1, 2], [1, 9]])).toarray()
    inverse = np.log(4 / np.array([4, 2, 1])) + 1
    first, second = inverse[:2], inverse[[0, 2]]
    np.testing.assert_allclose(weights[0], [*first / np.linalg.norm(first), 0], rtol=1e-6)
    np.testing.assert_allclose(weights[1, [0, 2]], second / np.linalg.norm(second), rtol=1e-6)


def test_pair_features_do_not_depend_on_the_order_or_the_source(split: Split) -> None:
    windows = split.unseen_sources
    first, second = np.array([0, 1, 5]), np.array([3, 4, 2])
    there = pair_features.PairFeatures(split.train, windows)(first, second)
    np.testing.assert_allclose(there, pair_features.PairFeatures(split.train, windows)(second, first), atol=1e-6)
    renamed = pa.array([f"192.0.2.{code}" for code in windows.sources])
    table = windows.table.set_column(windows.table.column_names.index("source"), "source", renamed)
    np.testing.assert_array_equal(there, pair_features.PairFeatures(split.train, WindowSet(table))(first, second))


def test_service_classes_of_darkvec() -> None:
    tcp, udp, icmp = 6 << 16, 17 << 16, 1 << 16
    services = np.array([tcp | 22, tcp | 23, udp | 53, tcp | 53, icmp | 0, tcp | 7, tcp | 60000])
    classes = word2vec.service_classes(services)
    assert classes[2] == classes[3]
    assert len(set(classes.tolist())) == 6


def test_darkvec_has_vectors_only_for_its_corpus(split: Split) -> None:
    pytest.importorskip("gensim")
    represent = METHODS["darkvec_day"].fit(split, 0)
    with pytest.raises(DatasetError, match="its own corpus"):
        represent(split.train)
