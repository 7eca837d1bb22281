"""Word2Vec of ports (DANTE) and of senders (DarkVec, i-DarkVec).

DANTE: Cohen et al., "DANTE: A framework for mining and monitoring darknet traffic", 2020. DarkVec: Gioacchini et al.,
CoNEXT 2021. i-DarkVec: Gioacchini et al., ACM TOIT 2023. All use gensim (extra `baselines`), one thread and a seed.

A sender has a vector in DarkVec only if it was in the corpus. Therefore the evaluated windows are in the corpus, each
as a separate sender (otherwise all windows of a source would be equal). These methods are thus transductive, which
favours them.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from telescope_transformer.errors import DatasetError
from telescope_transformer.evaluation.protocol import Split
from telescope_transformer.evaluation.representation import Representation
from telescope_transformer.evaluation.windows import DAY_SECONDS, WindowSet
from telescope_transformer.extras import require
from telescope_transformer.fields import HOUR, SECOND
from telescope_transformer.records.schema import TCP, UDP

# Dimensions and context are those of DarkVec. Epochs, and the context for DANTE, are the defaults of gensim.
DIMENSIONS = 50
EPOCHS = 5
DANTE_CONTEXT = 5
DARKVEC_CONTEXT = 25
HOUR_SECONDS = HOUR // SECOND
TRANSDUCTIVE_PARTS = ("validation", "unseen_sources", "unseen_sequences")

# Service classes of DarkVec (table 3): class by port. Other ports are classified by range.
SERVICE_PORTS = {
    "telnet": (23, 992),
    "ssh": (22,),
    "kerberos": (88, 543, 544, 749, 750, 751, 752, 754),
    "http": (80, 443, 8080),
    "proxy": (1080, 6446, 2121, 8081, 57000),
    "mail": (25, 143, 174, 209, 465, 587, 110, 995, 993),
    "database": (210, 5432, 775, 1433, 1521, 3306, 27017, 6379, 9200, 5984),
    "dns": (53, 853, 5353),
    "netbios": (137, 138, 139),
    "smb": (445,),
    "p2p": (119, 375, 425, 1214, 412, 2412, 4662, 12155, 6771, 6881, 6969),
    "ftp": (20, 21, 69, 989, 990, 2431, 2433, 2811, 8021),
    "remote_desktop": (3389,),
    "voice": (5060, 5061),
}


def dante(split: Split, seed: int) -> Callable[[WindowSet], Representation]:
    """Mean vectors of the windows' services, learned from the sequences of services in the training windows."""
    model = _word2vec(seed, window=DANTE_CONTEXT)
    sentences = [[str(service) for service in row] for row in split.train.services]
    _train(model, sentences, update=False)
    return partial(_mean_vectors, model)


def _mean_vectors(model: Any, windows: WindowSet) -> Representation:
    vectors = np.zeros((len(windows), DIMENSIONS), np.float32)
    for row, services in enumerate(windows.services):
        known = [str(service) for service in services if str(service) in model.wv]
        if known:
            vectors[row] = model.wv[known].mean(axis=0)
    return Representation.of_vectors(vectors)


def darkvec_day(split: Split, seed: int) -> Callable[[WindowSet], Representation]:
    """DarkVec with a corpus sentence per service class and day."""
    return _darkvec(split, seed, DAY_SECONDS)


def darkvec_hour(split: Split, seed: int) -> Callable[[WindowSet], Representation]:
    """DarkVec with a corpus sentence per service class and hour, the paper's choice for a busy /24."""
    return _darkvec(split, seed, HOUR_SECONDS)


def i_darkvec(split: Split, seed: int) -> Callable[[WindowSet], Representation]:
    """i-DarkVec: each day's sentences continue the training of the previous days' model."""
    model = _word2vec(seed, window=DARKVEC_CONTEXT)
    for day, (_, sentences) in enumerate(groupby(_sentences(split, HOUR_SECONDS), key=lambda item: item[0])):
        _train(model, [sentence for _, sentence in sentences], update=day > 0)
    return partial(_senders, split, model)


def _darkvec(split: Split, seed: int, seconds: int) -> Callable[[WindowSet], Representation]:
    model = _word2vec(seed, window=DARKVEC_CONTEXT)
    _train(model, [sentence for _, sentence in _sentences(split, seconds)], update=False)
    return partial(_senders, split, model)


def _senders(split: Split, model: Any, windows: WindowSet) -> Representation:
    """The vectors of the windows of one part of the split.

    Raises:
        DatasetError: if the windows are not a part of the split, and were therefore not in the corpus.
    """
    for name in TRANSDUCTIVE_PARTS:
        if split.part(name) is windows:
            return Representation.of_vectors(model.wv[_words(name, len(windows))])
    raise DatasetError("DarkVec has vectors only for the windows of its own corpus")


def _words(part: str, n_windows: int) -> list[str]:
    return [f"{part} {row}" for row in range(n_windows)]


def _sentences(split: Split, seconds: int) -> Iterator[tuple[int, list[str]]]:
    """Day and sequence of senders of every service class and span of `seconds`, in the order of time."""
    parts = {name: split.part(name) for name in TRANSDUCTIVE_PARTS}
    corpus = WindowSet(pa.concat_tables([split.train.table, *(windows.table for windows in parts.values())]))
    # A training source is one sender, which gives the evaluated windows a better context.
    words = [f"train {source}" for source in split.train.sources]
    words += [word for name, windows in parts.items() for word in _words(name, len(windows))]
    times = corpus.seconds.ravel()
    spans = (times // seconds).astype(np.int64)
    classes = service_classes(corpus.services).ravel()
    order = np.lexsort((times, classes, spans))
    keys = np.stack([spans, classes])[:, order]
    bounds = np.flatnonzero(np.any(keys[:, 1:] != keys[:, :-1], axis=0)) + 1
    for positions in np.split(order, bounds):
        yield int(times[positions[0]] // DAY_SECONDS), [words[record // corpus.length] for record in positions]


def service_classes(services: np.ndarray) -> NDArray[np.int64]:
    """DarkVec's class of each service: named ports, then ICMP, then system, user and ephemeral ports."""
    protocols, ports = services >> 16, services & 0xFFFF
    named = len(SERVICE_PORTS)
    classes: NDArray[np.int64] = named + 1 + np.digitize(ports, [1024, 49152])
    for number, members in enumerate(SERVICE_PORTS.values()):
        classes[np.isin(ports, members)] = number
    classes[~np.isin(protocols, (TCP, UDP))] = named
    return classes


def _word2vec(seed: int, *, window: int) -> Any:
    """A skip-gram model whose initial vectors depend only on the seed, not on Python's salted hash."""
    return require("gensim.models").Word2Vec(
        vector_size=DIMENSIONS, window=window, min_count=1, sg=1, epochs=EPOCHS, workers=1, seed=seed + 1, sample=0
    )


def _train(model: Any, sentences: list[list[str]], *, update: bool) -> None:
    model.build_vocab(sentences, update=update)
    model.train(sentences, total_examples=len(sentences), epochs=model.epochs)
