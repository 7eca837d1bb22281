"""The methods that every table compares, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from telescope_transformer.evaluation.baselines import controls, networks, pair_classifier, services, word2vec
from telescope_transformer.evaluation.protocol import Split
from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.windows import WindowSet

Represent = Callable[[WindowSet], Representation]
Fit = Callable[[Split, int], Represent]


@dataclass(frozen=True)
class Method:
    """A method of representing windows.

    Attributes:
        title: name in the tables.
        kind: "control"; "baseline"; "transductive", which also learns, without labels, from the windows that it
            represents; "ceiling", which is supervised on pairs and has no vectors; or "model".
        fit: maps (split, seed) to a function that represents windows. It learns from `split.train` only, unless the
            method is transductive.
    """

    title: str
    kind: str
    fit: Fit


def unfitted(represent: Represent) -> Fit:
    """A method that learns nothing from the split."""
    return lambda split, seed: represent


def _frequencies(represent: Callable[[WindowSet, WindowSet], Representation]) -> Fit:
    return lambda split, seed: partial(represent, split.train)


METHODS = {
    "length_only": Method("length only", "control", unfitted(controls.length_only)),
    "time_of_day": Method("time of day only", "control", unfitted(controls.time_of_day)),
    "sensor_only": Method("sensor only", "control", unfitted(controls.sensor_only)),
    "binary_services": Method("services, binary", "baseline", unfitted(services.binary_services)),
    "tfidf_services": Method("services, TF-IDF", "baseline", _frequencies(services.tfidf_services)),
    "tfidf_with_timing": Method("TF-IDF + sensor + timing", "baseline", _frequencies(services.tfidf_with_timing)),
    "dante": Method("DANTE (Word2Vec of ports)", "baseline", word2vec.dante),
    "darkvec_day": Method("DarkVec, 24 h (transductive)", "transductive", word2vec.darkvec_day),
    "darkvec_hour": Method("DarkVec, 1 h (transductive)", "transductive", word2vec.darkvec_hour),
    "i_darkvec": Method("i-DarkVec (transductive)", "transductive", word2vec.i_darkvec),
    "untrained": Method("the paper's model, untrained", "baseline", lambda split, seed: networks.untrained(seed)),
    "pair_classifier": Method("supervised pair classifier", "ceiling", pair_classifier.pair_classifier),
}
CONTROLS = tuple(name for name, method in METHODS.items() if method.kind == "control")
# Default baselines: the strongest ones that fit within seconds.
DEFAULT_BASELINES = ("tfidf_services", "tfidf_with_timing", "untrained")
