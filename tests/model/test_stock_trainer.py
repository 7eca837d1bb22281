"""The Trainer of transformers trains, evaluates and predicts with the unmodified model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainingArguments

from telescope_transformer import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning

TOKENIZER = FlowTokenizer()


class Pairs(torch.utils.data.Dataset):
    """Each item is two windows of one source."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, source: int) -> list[list[dict[str, Any]]]:
        return [
            [
                {"timestamp": 10**6 * row, "dst_ip": "198.51.100.7", "dst_port": 20 + source, "protocol": 6}
                for row in range(3 + half)
            ]
            for half in range(2)
        ]


def collate(items: list[list[list[dict[str, Any]]]]) -> dict[str, torch.Tensor]:
    windows = [window for item in items for window in item]
    batch = dict(TOKENIZER(windows, padding=True, return_tensors="pt"))
    return batch | {"pairs": torch.arange(len(windows)).reshape(-1, 2)}


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    torch.manual_seed(0)
    config = TelescopeConfig(hidden_size=16, intermediate_size=16, projection_size=8, num_hidden_layers=1)
    arguments = TrainingArguments(
        tmp_path,
        label_names=["pairs"],
        per_device_train_batch_size=4,
        per_device_eval_batch_size=4,
        max_steps=3,
        remove_unused_columns=False,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
    )
    model = TelescopeForContrastiveLearning(config)
    return Trainer(model, arguments, data_collator=collate, train_dataset=Pairs(), eval_dataset=Pairs())


def test_it_trains_and_evaluates_with_pairs_as_labels(trainer: Trainer) -> None:
    model, batch = trainer.model, collate([Pairs()[source] for source in range(4)])
    with torch.no_grad():
        expected = [
            float(model.eval()(**collate([Pairs()[s] for s in part])).loss) for part in (range(4), range(4, 8))
        ]
    assert trainer.evaluate()["eval_loss"] == pytest.approx(np.mean(expected), abs=1e-5)
    before = model(**batch).embeddings.detach()
    assert np.isfinite(trainer.train().training_loss)
    assert not torch.allclose(model.eval()(**batch).embeddings, before, atol=1e-3)


def test_it_predicts_embeddings_without_pairs(trainer: Trainer) -> None:
    trainer.data_collator = lambda items: {name: value for name, value in collate(items).items() if name != "pairs"}
    found = trainer.predict(Pairs()).predictions
    assert found.shape == (16, 8)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
