"""NT-Xent compared with the formula, across processes, and in chunks; and the registry of objectives."""

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from training_runs import CONTEXT

from telescope_transformer import plugins
from telescope_transformer.errors import TrainingError
from telescope_transformer.learning import objectives
from telescope_transformer.learning.gradients import cached_backward, gather_with_gradient
from telescope_transformer.learning.objectives import PairFacts, make_objective
from telescope_transformer.learning.objectives.nt_xent import NTXent
from telescope_transformer.model import nt_xent_loss as nt_xent


def objective_loss(
    first: torch.Tensor, second: torch.Tensor, temperature: float, groups: torch.Tensor | None = None, **options: float
) -> torch.Tensor:
    """The objective's loss of pairs; windows of the same group in `groups` are not negatives of each other."""
    networks = torch.arange(len(first)) if groups is None else groups
    facts = PairFacts(torch.arange(len(first)), networks, temperature)
    return NTXent(ignore_siblings=groups is not None, **options).loss(torch.cat([first, second]), facts)


def unit(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=random, dtype=torch.float64), dim=-1).to(dtype)


def naive_nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float) -> float:
    """Equation 1 of SimCLR (Chen et al. 2020), in loops."""
    rows = [*first.double().tolist(), *second.double().tolist()]
    pairs, total = len(first), 0.0
    for anchor in range(2 * pairs):
        partner = (anchor + pairs) % (2 * pairs)
        similarity = [sum(a * b for a, b in zip(rows[anchor], row, strict=True)) / temperature for row in rows]
        others = sum(math.exp(similarity[other]) for other in range(2 * pairs) if other != anchor)
        total -= math.log(math.exp(similarity[partner]) / others)
    return total / (2 * pairs)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 1e-5), (torch.float16, 1e-5)],
)
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_loss_equals_a_naive_loop(dtype: torch.dtype, tolerance: float, temperature: float) -> None:
    first, second = unit(5, 8, seed=1, dtype=dtype), unit(5, 8, seed=2, dtype=dtype)
    loss = float(nt_xent(first, second, temperature))
    assert loss == pytest.approx(naive_nt_xent(first, second, temperature), rel=tolerance)


def test_two_pairs_are_enough() -> None:
    first, second = unit(2, 8, seed=1), unit(2, 8, seed=2)
    assert float(nt_xent(first, second, 0.2)) == pytest.approx(naive_nt_xent(first, second, 0.2))


def test_gradient() -> None:
    first, second = unit(3, 4, seed=1).requires_grad_(), unit(3, 4, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(partial(nt_xent, temperature=0.3), (first, second))


def test_views_are_interchangeable_and_guessing_costs_the_logarithm() -> None:
    first, second = unit(6, 8, seed=1), unit(6, 8, seed=2)
    torch.testing.assert_close(nt_xent(first, second, 0.1), nt_xent(second, first, 0.1))
    alike = unit(1, 8).expand(6, 8)
    assert float(nt_xent(alike, alike, 0.07)) == pytest.approx(math.log(2 * 6 - 1))


@pytest.mark.parametrize(
    ("first", "second", "temperature", "words"),
    [
        (unit(2, 4), unit(3, 4), 0.1, r"\(2, 4\) and \(3, 4\)"),
        (unit(4), unit(4), 0.1, r"\(4,\) and \(4,\)"),
        (unit(2, 2, 4), unit(2, 2, 4), 0.1, r"\(2, 2, 4\)"),
        (unit(1, 4), unit(1, 4), 0.1, "two pairs"),
        (unit(2, 4), unit(2, 4), 0.0, "0.0"),
        (unit(2, 4), unit(2, 4), -1.0, "-1.0"),
    ],
)
def test_wrong_input_is_refused(first: torch.Tensor, second: torch.Tensor, temperature: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        nt_xent(first, second, temperature)


def small_network(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 8)).double()


def embed(network: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    return F.normalize(network(rows), dim=-1)


@pytest.mark.parametrize("ignored", [False, True])
def test_ignoring_nearer_negatives_equals_a_naive_loop(ignored: bool) -> None:
    first, second, groups = unit(5, 8, seed=1), unit(5, 8, seed=2), torch.tensor([0, 1, 0, 2, 3])
    rows, group = torch.cat([first, second]).tolist(), [*groups.tolist()] * 2
    total = 0.0
    for anchor in range(10):
        similarity = [sum(a * b for a, b in zip(rows[anchor], row, strict=True)) / 0.1 for row in rows]
        positive = similarity[(anchor + 5) % 10]
        negatives = [similarity[j] for j in range(10) if group[j] != group[anchor]]
        kept = [value for value in negatives if not ignored or value <= positive]
        total += math.log(math.exp(positive) + sum(math.exp(value) for value in kept)) - positive
    found = float(objective_loss(first, second, 0.1, groups, ignore_nearer=ignored))
    assert found == pytest.approx(total / 10, rel=1e-12)


@pytest.mark.parametrize("chunk", [1, 3, 16])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_gradient_cache_equals_the_plain_loss(chunk: int, dropout: float) -> None:
    inputs = torch.randn(16, 6, dtype=torch.float64)
    chunks = list(inputs.split(chunk))

    def loss_of(embeddings: torch.Tensor) -> torch.Tensor:
        first, second = embeddings.chunk(2)
        return nt_xent(first, second, 0.3)

    results = []
    for cached in (False, True):
        network = small_network(dropout)
        torch.manual_seed(5)
        if cached:
            loss = cached_backward(partial(embed, network), chunks, loss_of)
        else:
            loss = loss_of(torch.cat([embed(network, rows) for rows in chunks]))
            loss.backward()
        gradients = [parameter.grad for parameter in network.parameters()]
        results.append([loss.detach(), *gradients, torch.rand(1)])
    for plain, in_chunks in zip(*results, strict=True):
        torch.testing.assert_close(in_chunks, plain, rtol=1e-12, atol=1e-14)


def mean_loss_and_gradients(network: nn.Module, rows: torch.Tensor, chunk: int, ignored: bool) -> list[torch.Tensor]:
    """The loss of all processes and the gradients, in chunks of rows, or at once for chunk 0."""

    def loss_of(embeddings: torch.Tensor) -> torch.Tensor:
        first, second = embeddings.chunk(2)
        return objective_loss(first, second, 0.07, ignore_nearer=ignored)

    network.zero_grad()
    if chunk:
        loss = cached_backward(partial(embed, network), rows.split(chunk), loss_of, without_sync=network.no_sync)
    else:
        loss = loss_of(embed(network, rows))
        loss.backward()
    mean = loss.detach().clone()
    torch.distributed.all_reduce(mean)
    return [mean / 2, *[parameter.grad.clone() for parameter in network.parameters()]]


def one_of_two(rank: int, folder: str) -> None:
    """A process with half of the pairs, under DDP; rank 0 writes the results computed at once and in chunks."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    network = nn.parallel.DistributedDataParallel(small_network())
    rows = torch.load(f"{folder}/views.pt")[:, 4 * rank : 4 * rank + 4].reshape(8, 6)
    results = {
        ignored: [mean_loss_and_gradients(network, rows, chunk, ignored) for chunk in (0, 3)]
        for ignored in (False, True)
    }
    assert gather_with_gradient(torch.full((1, 1), float(rank))).tolist() == [[0.0], [1.0]]
    if rank == 0:
        torch.save(results, f"{folder}/results.pt")
    # Delete the wrapper first: its destructor holds a lock that the group's thread may wait for.
    del network
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    views = torch.randn(2, 8, 6, dtype=torch.float64)
    torch.save(views, tmp_path / "views.pt")
    workers = [CONTEXT.Process(target=one_of_two, args=(rank, str(tmp_path))) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    for ignored, results in torch.load(tmp_path / "results.pt").items():
        network = small_network()
        first, second = embed(network, views.reshape(16, 6)).chunk(2)
        loss = objective_loss(first, second, 0.07, ignore_nearer=ignored)
        loss.backward()
        expected = [loss.detach(), *[parameter.grad for parameter in network.parameters()]]
        for result in results:
            for one, two in zip(expected, result, strict=True):
                torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-8)


def test_objectives_are_found_by_name_and_told_their_options() -> None:
    assert make_objective("nt_xent", {"ignore_nearer": True}) == NTXent(ignore_nearer=True)
    with pytest.raises(TrainingError, match=r"one of .'nt_xent'., not 'triplet'"):
        make_objective("triplet", {})
    with pytest.raises(TrainingError, match="no option 'colour'; its options are"):
        make_objective("nt_xent", {"colour": 1})


def test_another_distribution_can_add_an_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("pull", "test_objectives:Pull", objectives.ENTRY_POINTS)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == objectives.ENTRY_POINTS else [])
    made = make_objective("pull", {"weight": 2.0})
    embeddings = torch.cat([unit(3, 4, seed=1), unit(3, 4, seed=1)])
    assert float(made.loss(embeddings, PairFacts(torch.arange(3), torch.arange(3), 0.1))) == pytest.approx(-2.0)


@pytest.mark.parametrize(
    ("value", "told"), [("no_such_module:Pull", "cannot be loaded"), ("json:dumps", "cannot be used")]
)
def test_an_unusable_objective_of_another_distribution_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str, told: str
) -> None:
    point = EntryPoint("pull", value, objectives.ENTRY_POINTS)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == objectives.ENTRY_POINTS else [])
    with pytest.raises(TrainingError, match=rf"the training objective pull \({value}\) {told}"):
        make_objective("nt_xent", {})


@dataclass(frozen=True)
class Pull:
    """An objective that raises the mean similarity of pairs."""

    name: ClassVar[str] = "pull"
    weight: float = 1.0

    def loss(self, embeddings: torch.Tensor, pairs: PairFacts) -> torch.Tensor:
        first, second = embeddings.chunk(2)
        return -self.weight * (first * second).sum(dim=1).mean()
