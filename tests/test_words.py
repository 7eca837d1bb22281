"""Sentences that several commands print."""

import math

import pytest

from telescope_transformer.words import certificate


@pytest.mark.parametrize(
    ("cost", "gap", "said"),
    [
        (0.0, 0.0, "cost 0: no clustering costs less"),
        (12.0, 1e-12, "cost 12, the lowest possible"),
        (12.0, 3.4567e-7, "cost 12, of which another clustering could save 0.01 % at most"),
        (12.0, 0.0123, "cost 12, of which another clustering could save 1.2 % at most"),
        (12.0, math.nan, "cost 12, nothing is proved"),
    ],
)
def test_a_certificate_says_what_is_proved(cost: float, gap: float, said: str) -> None:
    assert certificate(cost, gap) == said
