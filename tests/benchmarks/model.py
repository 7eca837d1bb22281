"""Compare the speed of training and embedding with a plain version of the paper's recipe, in one process.

Run: python tests/benchmarks/model.py [--output FILE.json]

The plain version does what the paper describes, without any of this package's optimisations: it pads every window to
128 records, runs a forward pass for each view, computes attention as a matrix product with the whole mask added, and
uses single precision. Both sides use the paper's model and the same windows. Times are processor times, medians of
rounds that alternate between the two sides, so that other load on the machine affects both alike.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.nn import functional as F

from telescope_transformer.embedding import computes_bf16, embed_windows
from telescope_transformer.learning.arguments import TrainingArguments
from telescope_transformer.learning.data import PairBatches
from telescope_transformer.learning.sampling import PairSampler
from telescope_transformer.learning.store import RecordStore
from telescope_transformer.model import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning, nt_xent_loss
from telescope_transformer.model_files import load_model

PADDED = 128
RESULTS = Path(__file__).parent / "results" / "model.json"


def make_windows(count: int, lengths: np.ndarray) -> pa.Table:
    """A table of windows with random records."""
    random = np.random.default_rng(0)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    total = int(lengths.sum())
    flat = {
        "timestamp": np.cumsum(random.integers(0, 10**7, total)),
        "dst_ip": random.integers(0, 2**32, total, dtype=np.uint32),
        "dst_port": random.integers(0, 65_536, total).astype(np.uint16),
        "src_port": random.integers(0, 65_536, total).astype(np.uint16),
        "protocol": random.choice([1, 6, 17], total).astype(np.uint8),
    }
    columns = {name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in flat.items()}
    return pa.table({"n_records": pa.array(lengths.astype(np.int32)), **columns})


def race(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median processor seconds of each side, after one untimed round."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, work in sides.items():
            begun = time.process_time()
            work()
            if turn:
                seconds[name].append(time.process_time() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}


def make_model(attention: str) -> TelescopeForContrastiveLearning:
    torch.manual_seed(0)
    model = TelescopeForContrastiveLearning(TelescopeConfig.paper())
    model.set_attn_implementation(attention)
    return model


def padded(tokenizer: FlowTokenizer, encoded: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, torch.Tensor]:
    """Pad windows to 128 records, whatever their length."""
    sequences = [
        {
            "input_ids": encoded["input_ids"][encoded["offsets"][row] : encoded["offsets"][row + 1]],
            "inter_arrival": encoded["inter_arrival"][encoded["offsets"][row] : encoded["offsets"][row + 1]],
        }
        for row in rows
    ]
    return dict(tokenizer.pad(sequences, padding="max_length", max_length=PADDED, return_tensors="pt"))


def training_speed(length: int, pairs: int, rounds: int) -> dict[str, float]:
    """Pairs per processor second of each side, for windows of `length` records."""
    tokenizer = FlowTokenizer()
    encoded = tokenizer.encode_windows(make_windows(2 * pairs, np.full(2 * pairs, length)))
    rows = np.arange(2 * pairs)
    plain_model, model = make_model("eager").train(), make_model("sdpa").train()
    plain_optimizer, optimizer = (torch.optim.AdamW(each.parameters(), lr=1e-3) for each in (plain_model, model))

    def plain() -> None:
        plain_optimizer.zero_grad()
        views = [plain_model(**padded(tokenizer, encoded, half)).embeddings for half in np.split(rows, 2)]
        nt_xent_loss(views[0], views[1], 0.07).backward()
        plain_optimizer.step()

    def ours(bf16: bool) -> None:
        optimizer.zero_grad()
        batch = tokenizer.collate(encoded, encoded["offsets"][rows], np.full(2 * pairs, length))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            embeddings = model(**batch).embeddings
        first, second = embeddings.float().chunk(2)
        nt_xent_loss(first, second, 0.07).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    sides = {"plain": plain, "fp32": partial(ours, False), "bf16": partial(ours, True)}
    return speeds(pairs, race(sides, rounds))


def embedding_speed(lengths: np.ndarray, rounds: int, *, shipped: bool = False) -> dict[str, float]:
    """Windows per processor second of each side; ours with the paper's model or with the shipped checkpoint."""
    tokenizer, windows = FlowTokenizer(), make_windows(len(lengths), lengths)
    plain_model = make_model("eager").eval()
    model, our_tokenizer = load_model() if shipped else (make_model("sdpa").eval(), tokenizer)

    @torch.no_grad()
    def plain() -> list[torch.Tensor]:
        encoded = tokenizer.encode_windows(windows)
        parts = np.array_split(np.arange(len(lengths)), max(1, len(lengths) // 64))
        return [F.normalize(plain_model(**padded(tokenizer, encoded, rows)).embeddings, dim=-1) for rows in parts]

    def ours(dtype: torch.dtype) -> np.ndarray:
        return embed_windows(model, our_tokenizer, windows, dtype=dtype, device="cpu", progress=False)

    sides = {"plain": plain, "fp32": partial(ours, torch.float32), "bf16": partial(ours, torch.bfloat16)}
    return speeds(len(lengths), race(sides, rounds))


def speeds(items: int, seconds: dict[str, float]) -> dict[str, float]:
    """Items per second of each side, and the ratio of our rate to the plain one."""
    rates = {name: items / value for name, value in seconds.items()}
    return rates | {f"{name}_to_plain": rates[name] / rates["plain"] for name in rates if name != "plain"}


def tokenizer_speed(records: int, rounds: int) -> float:
    """Records per processor second of the vectorised path."""
    tokenizer, windows = FlowTokenizer(), make_windows(records // 100, np.full(records // 100, 100))
    return records / race({"encode": lambda: tokenizer.encode_windows(windows)}, rounds)["encode"]


def loader_speed(sources: int, rounds: int) -> float:
    """Windows per processor second that the training loader draws and collates: 1,024 per step, of 8 to 64 records."""
    counts = np.random.default_rng(0).pareto(1.2, sources).clip(max=300) * 16 + 16
    offsets = np.concatenate([[0], np.cumsum(counts.astype(np.int64))])
    encoded = {
        "input_ids": np.full((offsets[-1], 6), 2, dtype=np.int32),
        "inter_arrival": np.ones(offsets[-1], dtype=np.float32),
    }
    store = RecordStore(encoded, offsets, pa.nulls(sources, pa.string()))
    sampler = PairSampler(offsets, TrainingArguments(batch_pairs=512, max_records=64))
    data = PairBatches(store, sampler, FlowTokenizer())
    return 10 * 1024 / race({"load": lambda: [data[step] for step in range(10)]}, rounds)["load"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    mixed = np.random.default_rng(1).integers(8, 129, 1024)
    results: dict[str, Any] = {
        "tokenizer_records_per_second": tokenizer_speed(2_000_000, arguments.rounds),
        "loader_windows_per_second": loader_speed(200_000, arguments.rounds),
        "training_pairs_per_second": {
            f"{length} records": training_speed(length, 32, arguments.rounds) for length in (8, 64)
        },
        "embedding_windows_per_second": {
            "8 records": embedding_speed(np.full(256, 8), arguments.rounds),
            "64 records": embedding_speed(np.full(256, 64), arguments.rounds),
            "8 to 128 records": embedding_speed(mixed, arguments.rounds),
        },
        "shipped_embedding_windows_per_second": {
            f"{length} records": embedding_speed(np.full(256, length), arguments.rounds, shipped=True)
            for length in (8, 64)
        },
    }
    bf16 = computes_bf16(torch.device("cpu"))
    results["machine"] = {"processor": platform.machine(), "bf16_instructions": bf16, "torch": torch.__version__}
    text = json.dumps(results, indent=2)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
