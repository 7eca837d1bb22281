"""Which sources are trained on, and which are kept for validation and testing."""

import hashlib

# The largest seed that NumPy's and PyTorch's generators both take.
LARGEST_SEED = 2**32 - 1
# Our choice: shares of the sources, and the part of each training source's time that is trained on.
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
TRAIN_PART = 0.8


def split_of_source(source: str, seed: int = 0) -> str:
    """The split of a source: "test" (20 %), "validation" (10 %) or "train" (70 %).

    It depends only on a hash of the seed and the source's canonical text, so adding data never moves a source.
    """
    digest = source_digest(source, seed)
    if digest < _below(TEST_SHARE):
        return "test"
    return "validation" if digest < _below(TEST_SHARE + VALIDATION_SHARE) else "train"


def source_digest(source: str, seed: int) -> str:
    """The first eight hexadecimal digits of the MD5 of "seed:source"."""
    return hashlib.md5(f"{seed}:{source}".encode(), usedforsecurity=False).hexdigest()[:8]


def _below(share: float) -> str:
    """The upper limit of the digests of this share of all sources."""
    return f"{round(share * 2**32):08x}"
