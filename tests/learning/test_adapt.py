"""Adaptation: held-out sources, the choice of weights, and continuation after a kill."""

import json
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from training_runs import CONTEXT
from typer.testing import CliRunner

from telescope_transformer.analysis.embedding_stage import unseen_windows
from telescope_transformer.cli.main import app
from telescope_transformer.errors import DatasetError, TrainingError
from telescope_transformer.learning import adapt as module
from telescope_transformer.learning import held_out as held_out_module
from telescope_transformer.learning.adapt import Adaptation, AdaptSettings, adapt
from telescope_transformer.learning.centring import centred
from telescope_transformer.learning.held_out import HeldOut, keep_out
from telescope_transformer.learning.store import networks_of
from telescope_transformer.model import FlowTokenizer, TelescopeConfig, TelescopeForContrastiveLearning
from telescope_transformer.model_files import load_model, load_network
from telescope_transformer.simulation import simulate
from telescope_transformer.windows import Windows, cut

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
RECIPE = f"""
model: {json.dumps(SMALL | {"projection_size": 8})}
steps: 6
batch_pairs: 16
min_records: 4
max_records: 8
save_every: 2
log_every: 1
tracker: none
"""


@pytest.fixture(scope="module")
def windows() -> Windows:
    return cut(simulate(150, seed=1, records_per_source=60.0), min_records=1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained checkpoint."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    TelescopeForContrastiveLearning(TelescopeConfig(**SMALL, projection_size=8)).save_pretrained(folder)
    FlowTokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> AdaptSettings:
    recipe = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    recipe.write_text(RECIPE)
    return AdaptSettings(recipe=recipe, min_sources=20, hold_out=0.3, always=True, device_cpu=True)


@pytest.fixture(scope="module")
def adapted(windows: Windows, base: Path, settings: AdaptSettings) -> Adaptation:
    return adapt(windows, base, settings)


def weights(adaptation: Adaptation) -> dict[str, torch.Tensor]:
    return adaptation.model.state_dict()


def assert_equal_weights(one: Adaptation, other: Adaptation) -> None:
    assert all(torch.equal(values, weights(other)[name]) for name, values in weights(one).items())


def test_adaptation_changes_the_weights_and_reports_facts(adapted: Adaptation, base: Path, windows: Windows) -> None:
    before = load_model(base)[0].state_dict()
    assert any(not torch.equal(values, before[name]) for name, values in weights(adapted).items())
    facts = adapted.facts
    assert (facts["steps"], facts["batch_pairs"], facts["base"]) == (6, 16, base.name)
    assert facts["sources"] == able_sources(windows, adapted)
    assert facts["kept_out"] == len(adapted.kept_out)
    assert 0.5 < facts["before"]["same_source"] <= 1
    assert not adapted.model.training


def able_sources(windows: Windows, adaptation: Adaptation) -> int:
    """Number of sources that were not held out and have two windows of four records."""
    records = windows.to_table().group_by("source").aggregate([("n_records", "sum")])
    able = records.filter(pc.greater_equal(records["n_records_sum"], 8))["source"]
    return pc.sum(pc.invert(pc.is_in(able, value_set=adaptation.kept_out))).as_py()


def test_the_same_call_gives_the_same_weights(
    windows: Windows, base: Path, settings: AdaptSettings, adapted: Adaptation
) -> None:
    """A table of windows gives the same result, and other random numbers have no influence."""
    torch.manual_seed(123)
    state = torch.get_rng_state()
    again = adapt(windows.to_table(), base, settings)
    assert torch.equal(torch.get_rng_state(), state)
    assert_equal_weights(again, adapted)
    assert again.facts | {"seconds": 0} == adapted.facts | {"seconds": 0}


def test_whole_networks_are_held_out_up_to_the_share() -> None:
    sources = pa.array([f"10.0.{network}.{host}" for network in range(40) for host in range(1 + network % 5)])
    kept = keep_out(sources, 0.25, seed=0)
    networks = networks_of(sources)
    assert not set(networks[kept]) & set(networks[~kept])
    assert 0.2 < kept.mean() <= 0.25
    assert (keep_out(sources, 0.25, seed=1) != kept).any()
    assert not keep_out(sources, 0.0, seed=0).any()
    order = np.random.default_rng(0).permutation(len(sources))
    np.testing.assert_array_equal(keep_out(sources.take(pa.array(order)), 0.25, seed=0), kept[order])


def test_too_few_pairs_of_one_source_compare_nothing() -> None:
    """Otherwise no AUROC might be defined, and the adapted weights would be refused without a reason."""
    records = simulate(60, seed=1, records_per_source=60.0)
    windows = cut(records, window=8, min_records=8).to_table()
    of_source = windows.group_by("source").aggregate([("start", "count")])
    names = of_source.filter(pc.greater(of_source["start_count"], 1))["source"][:12]
    two = [windows.filter(pc.equal(windows["source"], name))[:2] for name in names]
    assert HeldOut.of(pa.concat_tables(two), 8, seed=0) is None
    four = windows.filter(pc.is_in(windows["source"], value_set=names.combine_chunks()))
    assert HeldOut.of(four, 8, seed=0) is not None


def test_large_networks_are_split() -> None:
    """Otherwise a telescope of two networks would have no held-out sources."""
    sources = pa.array([f"10.0.{network}.{host}" for network in range(2) for host in range(50)])
    assert keep_out(sources, 0.2, seed=0).sum() == 20


def test_enough_sources_are_held_out_to_compare_weights(windows: Windows, base: Path, settings: AdaptSettings) -> None:
    """A tenth of few sources would be too few. If too few are left to learn from, none are wasted."""
    told, table = replace(settings, hold_out=0.1, steps=0), windows.to_table()
    many = adapt(table, base, told)
    assert module.HELD_OUT / 150 <= many.facts["hold_out"] < 0.35
    names = pc.unique(table["source"])[:70]
    few = adapt(table.filter(pc.is_in(table["source"], value_set=names)), base, told)
    assert few.facts["hold_out"] == 0.1


def test_weights_that_cannot_be_compared_are_not_trained(
    windows: Windows, base: Path, settings: AdaptSettings
) -> None:
    untested = adapt(windows, base, replace(settings, hold_out=0.0, always=False))
    assert not untested.adapted
    assert untested.facts["reason"] == "too few sources were held out to compare the weights"


def test_weights_are_compared_with_what_would_be_used_instead(
    windows: Windows, base: Path, settings: AdaptSettings, adapted: Adaptation
) -> None:
    table = windows.to_table()
    kept = pc.is_in(table["source"], value_set=adapted.kept_out)
    model, encoder = load_network(base)
    instead = centred(model, encoder, table.filter(pc.invert(kept)))
    held_out = HeldOut.of(table.filter(kept), 4, settings.seed)
    assert instead is not None
    assert held_out is not None
    compared = held_out.compare(instead, adapted.model)
    assert compared.before == adapted.facts["before"] != held_out.compare(model, instead).before
    assert compared.after == adapted.facts["after"]


def test_an_adaptation_can_replace_its_base(adapted: Adaptation, base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "checkpoint")
    replace(adapted, base=folder).save(folder)
    assert changed_weights(adapted, base)
    assert all(
        torch.equal(values, weights(adapted)[name]) for name, values in load_model(folder)[0].state_dict().items()
    )


def test_held_out_sources_are_not_learned_from(
    windows: Windows, base: Path, settings: AdaptSettings, adapted: Adaptation
) -> None:
    """Other records of held-out sources do not change the weights."""
    kept = set(adapted.kept_out.to_pylist())
    rows = np.array([source not in kept for source in windows.table["source"].to_pylist()])
    without = windows.take(np.flatnonzero(rows))
    told = AdaptSettings(recipe=settings.recipe, min_sources=20, hold_out=0.0, always=True, device_cpu=True)
    assert_equal_weights(adapt(without, base, told), adapted)


def test_an_adapted_checkpoint_knows_its_held_out_sources_again(
    adapted: Adaptation, windows: Windows, tmp_path: Path
) -> None:
    def unseen(sources: list[str], **facts: Any) -> np.ndarray | None:
        replace(adapted, facts=adapted.facts | {"base": "shipped"} | facts).save(tmp_path)
        assert not [name for name in sources if name in (tmp_path / "adaptation.json").read_text()]
        return unseen_windows(str(tmp_path), pa.chunked_array([sources]))

    sources = windows.table["source"].to_pylist()[::-1]
    kept = set(adapted.kept_out.to_pylist())
    found = unseen(sources)
    assert found is not None
    assert found.tolist() == [name in kept for name in sources]
    # It may have learned from any of other sources, and so may a base that is not the shipped model.
    assert unseen([*sources, "203.0.113.250"]).tolist() == [False] * (len(sources) + 1)
    assert not unseen(sources, base="another").any()
    assert unseen(sources, adapted=False) is None
    assert unseen_windows(None, pa.chunked_array([sources])) is None
    with pytest.raises(DatasetError, match="does not say what was held out"):
        unseen(sources, seed="none")


def changed_weights(adaptation: Adaptation, base: Path) -> list[str]:
    before = load_model(base)[0].state_dict()
    return [name for name, values in adaptation.model.state_dict().items() if not torch.equal(values, before[name])]


def test_with_too_few_sources_only_the_last_layer_changes(
    windows: Windows, base: Path, settings: AdaptSettings
) -> None:
    told: list[str] = []
    few = adapt(windows, base, AdaptSettings(recipe=settings.recipe, min_sources=1000), say=told.append)
    assert not few.adapted
    assert "1000 are needed" in few.facts["reason"]
    assert told == [f"the model is only centred on the telescope: {few.facts['reason']}"]
    assert changed_weights(few, base) == ["head.output.weight", "head.output.bias"]


def test_if_weights_are_worse_on_held_out_sources_the_base_is_only_centred(
    windows: Windows, base: Path, settings: AdaptSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = module._train

    def spoil(*arguments: object) -> object:
        model, steps = train(*arguments)  # type: ignore[arg-type]
        for parameter in model.parameters():
            torch.nn.init.constant_(parameter, 0.01)
        return model, steps

    monkeypatch.setattr(module, "_train", spoil)
    spoilt = adapt(windows, base, replace(settings, always=False))
    assert not spoilt.adapted
    assert "worse on the sources that were held out" in spoilt.facts["reason"]
    assert changed_weights(spoilt, base) == ["head.output.weight", "head.output.bias"]


def adapt_here(windows: Path, base: Path, settings: AdaptSettings, folder: Path, steps_before_kill: int) -> None:
    from telescope_transformer.learning.loop import Trainer

    torch.set_num_threads(1)
    original, count = Trainer._step, 0

    def killing(*arguments: object) -> object:
        nonlocal count
        count += 1
        if count > steps_before_kill:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)  # type: ignore[arg-type]

    Trainer._step = killing  # type: ignore[method-assign, assignment]
    adapt(pq.read_table(windows), base, settings, folder=folder)


def test_a_killed_adaptation_continues_bit_for_bit(
    windows: Windows, base: Path, settings: AdaptSettings, adapted: Adaptation, tmp_path: Path
) -> None:
    pq.write_table(windows.to_table(), tmp_path / "windows.parquet")
    arguments = (tmp_path / "windows.parquet", base, settings, tmp_path / "run", 3)
    process = CONTEXT.Process(target=adapt_here, args=arguments)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert len(list((tmp_path / "run" / "checkpoints").glob("checkpoint-*"))) == 1
    assert_equal_weights(adapt(windows, base, settings, folder=tmp_path / "run"), adapted)
    with pytest.raises(TrainingError, match="holds a run with another"):
        adapt(windows.slice(0, len(windows) - 40), base, settings, folder=tmp_path / "run")


def test_a_budget_in_seconds_bounds_the_steps(
    windows: Windows, base: Path, settings: AdaptSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEWEST_STEPS", 2)
    told = AdaptSettings(recipe=settings.recipe, min_sources=20, seconds=1e-3, device_cpu=True)
    assert adapt(windows, base, told, folder=tmp_path).facts["steps"] == 2
    # The number of steps is stored, so that a continuation has the same schedule.
    assert json.loads((tmp_path / "plan.json").read_text()) == {"steps": 2}
    (tmp_path / "plan.json").write_text('{"steps": "many"}')
    with pytest.raises(TrainingError, match="not a plan"):
        adapt(windows, base, told, folder=tmp_path)
    assert adapt(windows, base, replace(told, steps=1)).facts["steps"] == 1


def test_few_steps_have_a_short_warm_up(windows: Windows, base: Path, settings: AdaptSettings, tmp_path: Path) -> None:
    """Otherwise the learning rate would still be rising at the last step."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE + "warmup_steps: 20\nschedule: cosine\n")
    adapt(windows, base, replace(settings, recipe=recipe, steps=4), folder=tmp_path / "run")
    rates = [json.loads(line)["learning_rate"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rates[0] == max(rates)
    assert rates[-1] == pytest.approx(0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"hold_out": 1.0}, "hold_out"),
        ({"seconds": 0}, "seconds"),
        ({"min_sources": 1}, "min_sources"),
        ({"seed": 2**32}, "seed"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_wrong_settings_are_reported(options: dict, told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        AdaptSettings(**options)


def test_the_command_writes_a_checkpoint_without_addresses(
    base: Path, settings: AdaptSettings, tmp_path: Path
) -> None:
    flows, output = tmp_path / "flows.parquet", tmp_path / "adapted"
    mine = output / "run" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("a folder of the user")
    pq.write_table(simulate(150, seed=1, records_per_source=60.0), flows)
    options = ["--base", str(base), "--recipe", str(settings.recipe), "--from-scratch", "--cpu"]
    result = CliRunner().invoke(app, ["adapt", str(flows), "--output", str(output), *options])
    assert result.exit_code == 0, result.output
    model, tokenizer = load_model(output)
    assert tokenizer.fields == model.config.fields
    facts = json.loads((output / "adaptation.json").read_text())
    assert facts["steps"] == 6
    assert facts["from_scratch"]
    assert mine.exists()
    assert not (output / ".adapting").exists()
    texts = [path.read_text() for path in output.iterdir() if path.suffix == ".json"]
    assert not any(re.search(r"\d+\.\d+\.\d+\.\d+", text) for text in texts)


@pytest.mark.parametrize(("mistaken", "worse"), [(1, False), (20, True)])
def test_one_source_that_is_harder_to_recognise_is_within_the_interval(
    mistaken: int, worse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four windows of each of 30 sources, of which two are mistaken for those of the next source."""
    sources = np.repeat(np.arange(30), 4)
    taken = sources.copy()
    wrong = np.flatnonzero((np.arange(120) % 4 < 2) & (sources < mistaken))
    taken[wrong] += 1
    embeddings = {"before": np.eye(31)[sources], "after": np.eye(31)[taken]}
    monkeypatch.setattr(held_out_module, "embed_windows", lambda model, *_, **__: embeddings[model.name])
    before, after = (SimpleNamespace(name=name, config=TelescopeConfig()) for name in embeddings)
    held_out = HeldOut(pa.table({}), sources, np.zeros(120, dtype=int))
    compared = held_out.compare(before, after)  # type: ignore[arg-type]
    assert compared.gain < 0
    assert compared.worse == worse
