"""What the model is compared with, on the same windows: controls, vectors of services, Word2Vec, a pair classifier.

Every method learns from training windows alone and then represents others. A transductive one, which cannot embed what
it has not seen, also learns from the windows that it represents, and says so.
"""

from telescope_transformer.evaluation.baselines.methods import CONTROLS, DEFAULT_BASELINES, METHODS, Method

__all__ = ["CONTROLS", "DEFAULT_BASELINES", "METHODS", "Method"]
