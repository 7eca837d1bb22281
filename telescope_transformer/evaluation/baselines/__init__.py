"""Methods that the model is compared with on the same windows: controls, service vectors, Word2Vec, a pair classifier.

A method learns from training windows only and then represents other windows. Transductive methods, which cannot embed
unseen windows, also learn from the windows that they represent; tables mark them.
"""

from telescope_transformer.evaluation.baselines.methods import CONTROLS, DEFAULT_BASELINES, METHODS, Method

__all__ = ["CONTROLS", "DEFAULT_BASELINES", "METHODS", "Method"]
