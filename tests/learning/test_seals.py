"""A seal without files is not valid."""

from pathlib import Path

import pytest

from telescope_transformer.learning.checkpoints import SEAL, STATE, find_fault


@pytest.mark.parametrize("seal", ["{}", "[]", '{"other": "0"}', "null"])
def test_a_checkpoint_whose_seal_lacks_its_state_is_refused(tmp_path: Path, seal: str) -> None:
    (tmp_path / STATE).write_text("{}")
    (tmp_path / SEAL).write_text(seal)
    assert find_fault(tmp_path) is not None
