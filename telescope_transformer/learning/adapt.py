"""Adaptation: run the training loop on the records of the analysed telescope, without labels.

A share of the sources is held out. The base model is centred on the other sources. The adapted weights replace it
unless they recognise the held-out sources worse, by more than the 95 % interval of the difference. If there are too
few sources to learn from or to compare on, nothing is trained.
"""

import copy
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from hashlib import blake2b
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from telescope_transformer.calibration import FILE_NAME as CALIBRATION
from telescope_transformer.calibration import Calibration
from telescope_transformer.embedding import one_thread
from telescope_transformer.errors import TrainingError, reason
from telescope_transformer.files import read_json, write_text
from telescope_transformer.hub import checkpoint_folder
from telescope_transformer.learning.arguments import TrainingArguments, arguments_of
from telescope_transformer.learning.centring import centred
from telescope_transformer.learning.checkpoints import disk_errors
from telescope_transformer.learning.held_out import HeldOut, digest_of_sources, keep_out
from telescope_transformer.learning.loop import Trainer
from telescope_transformer.learning.store import RecordStore, store_of_windows
from telescope_transformer.learning.training import (
    fastest_precision,
    make_accelerator,
    make_model,
    make_trainer,
    with_precision_of_device,
)
from telescope_transformer.model import TelescopeForContrastiveLearning, WindowEncoder
from telescope_transformer.model_calibration import calibrate_telescope
from telescope_transformer.model_files import ADAPTATION_FILE, load_model, load_network, save_checkpoint, tokenizer_for
from telescope_transformer.progress import Say, say_nothing
from telescope_transformer.splits import LARGEST_SEED
from telescope_transformer.windows import Windows
from telescope_transformer.words import counted

# To turn a budget in seconds into steps, this many steps are timed on a copy of the model. The first one fills caches.
TIMED_STEPS = 5
# With fewer steps the learning-rate schedule has no time to decay.
FEWEST_STEPS = 20
# Fewest sources to hold out, as long as that is at most half of them. With 10 or 20, the comparison of weights that
# learned from 20 to 80 sources often chose the ones that were worse on other sources.
HELD_OUT = 40
MOST_HELD_OUT = 0.5
# Share of a budget in seconds that goes to training; the rest is for comparing the weights and saving them.
TRAINING_SHARE = 0.85


@dataclass(frozen=True)
class AdaptSettings:
    """Settings of an adaptation. Everything else comes from the recipe.

    Args:
        recipe: YAML file of options of training, or the name of a shipped recipe.
        from_scratch: start from random weights of the recipe's architecture instead of the base's weights.
        steps: number of training steps; None uses the recipe's; 0 only centres the model.
        seconds: budget of wall-clock time, which limits the steps; None is no limit.
        seed: seed of the weights, the batches and the choice of held-out sources.
        hold_out: share of the sources that is held out, or more if there are few sources; 0 holds none out.
        min_sources: with fewer sources to learn from, the base is only centred.
        always: keep the adapted weights even if they are worse or cannot be compared; for evaluations.
        device_cpu: use the CPU even if there is a GPU.

    Raises:
        TrainingError: if a value is out of range.
    """

    recipe: str | Path = "adapt"
    from_scratch: bool = False
    steps: int | None = None
    seconds: float | None = None
    seed: int = 0
    hold_out: float = 0.1
    min_sources: int = 40
    always: bool = False
    device_cpu: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.hold_out < 1:
            raise TrainingError(f"hold_out must be at least 0 and less than 1, not {self.hold_out}")
        if self.steps is not None and (not isinstance(self.steps, Integral) or self.steps < 0):
            raise TrainingError(f"steps must be a whole number that is not negative, not {self.steps!r}")
        if self.seconds is not None and not self.seconds > 0:
            raise TrainingError(f"seconds must be positive, not {self.seconds}")
        if not isinstance(self.seed, Integral) or not 0 <= self.seed <= LARGEST_SEED:
            raise TrainingError(f"seed must be a whole number from 0 to {LARGEST_SEED}, not {self.seed!r}")
        if self.min_sources < 4:
            raise TrainingError(
                f"min_sources must be at least 4, two for each pair of a batch, not {self.min_sources}"
            )

    @property
    def device(self) -> str | None:
        """Device to embed on; None is the first GPU, or else the CPU."""
        return "cpu" if self.device_cpu else None


@dataclass(frozen=True)
class Adaptation:
    """The result of an adaptation.

    Attributes:
        model: with adapted weights, or else the base, centred on the telescope.
        base: folder of the base, which has the same tokenizer unless `model` began with random weights.
        facts: plain values for the report: `adapted`, `reason` if not adapted, `base`, `sources`, `kept_out`,
            `steps`, `seconds`, and the AUROCs on the held-out sources, `before` with the centred base and `after` with
            the adapted weights.
        kept_out: addresses of the held-out sources.
        calibration: of `model`, fitted to windows of the telescope; None if too few sources have several, the model is
            the unchanged base, or no calibration was asked for.
    """

    model: TelescopeForContrastiveLearning
    base: Path
    facts: dict[str, Any]
    kept_out: pa.Array
    calibration: Calibration | None = None

    @property
    def adapted(self) -> bool:
        """Whether `model` has the adapted weights."""
        return bool(self.facts["adapted"])

    @property
    def changed(self) -> bool:
        """Whether `model` differs from the base, because it was adapted or centred."""
        return self.adapted or bool(self.facts.get("centred"))

    def save(self, folder: str | Path) -> None:
        """Write a checkpoint for `from_pretrained`, and `adaptation.json`. Neither contains an address."""
        calibration = None if self.calibration is None else self.calibration.to_dict()
        # The tokenizer is copied from the base if possible, because making one takes half a second and 75 MB.
        tokenizer = tokenizer_for(self.model.config) if self.facts.get("from_scratch") else self.base
        save_checkpoint(folder, self.model, tokenizer, {CALIBRATION: calibration, ADAPTATION_FILE: self.facts})


def adapt(
    windows: pa.Table | Windows,
    base: str | Path | None = None,
    settings: AdaptSettings | None = None,
    *,
    folder: str | Path | None = None,
    calibrated: bool = True,
    progress: bool = True,
    say: Say = say_nothing,
) -> Adaptation:
    """Adapt a model to a telescope by training it on its windows.

    The result is deterministic: the same windows and settings give the same weights on a machine, even after an
    interruption. With a budget in seconds the number of steps depends on the machine.

    Args:
        windows: windows of any length.
        base: directory or Hub id of the checkpoint to start from and compare with; None is the shipped one.
        settings: settings of the adaptation.
        folder: folder for training checkpoints, from which the same call continues after a kill; None keeps none.
        calibrated: whether to fit a calibration to the windows.
        progress: whether to show a progress bar on a terminal.
        say: called with each progress message.

    Raises:
        TelescopeError: if the base or the recipe cannot be read, or the folder holds another adaptation.
    """
    settings = settings or AdaptSettings()
    table = windows.to_table() if isinstance(windows, Windows) else windows
    found = _chosen(table, base, settings, folder, progress, say)
    if not found.changed or not calibrated:
        return found
    calibration = calibrate_telescope(
        found.model,
        WindowEncoder(found.model.config.fields),
        table,
        unseen=found.kept_out if found.adapted else None,
        seed=settings.seed,
        device=settings.device,
    )
    return replace(found, calibration=calibration)


def _chosen(
    table: pa.Table,
    base: str | Path | None,
    settings: AdaptSettings,
    folder: str | Path | None,
    progress: bool,
    say: Say,
) -> Adaptation:
    """Train, and choose between the adapted weights and the centred base. The result has no calibration yet."""
    # Without the vocabulary, which takes half a second to load and 100 MB, and is not needed to centre a model.
    folder_of_base = checkpoint_folder(base)
    model, encoder = load_network(folder_of_base)
    arguments = arguments_of(settings.recipe, {"seed": settings.seed, "cpu": settings.device_cpu})
    shortest = 2 * arguments.min_records
    kept, how_kept = _kept_out(table, settings, shortest)
    is_kept = pc.is_in(table["source"], value_set=kept)
    learning = table.filter(pc.invert(is_kept))
    able = _able_sources(learning, shortest)
    facts = {"base": "shipped" if base is None else Path(base).name, "from_scratch": settings.from_scratch}
    facts |= {"sources": able} | how_kept
    better = centred(model, encoder, learning)
    untrained = better or model

    def without_training(reason: str) -> Adaptation:
        say(f"the model is {'left as it is' if better is None else 'only centred on the telescope'}: {reason}")
        told = facts | {"adapted": False, "centred": better is not None, "reason": reason}
        return Adaptation(untrained, folder_of_base, told, kept)

    if settings.steps == 0:
        return without_training("training is turned off")
    if able < settings.min_sources:
        have = "1 source has" if able == 1 else f"{able:,} sources have"
        return without_training(f"{have} {shortest} records or more; {settings.min_sources} are needed")
    held_out = HeldOut.of(table.filter(is_kept), arguments.min_records, settings.seed)
    if held_out is None and not settings.always:
        return without_training("too few sources were held out to compare the weights")
    say("adapting the model to the telescope")
    arguments = _fitted(arguments, settings, able)
    begun = time.perf_counter()
    with nullcontext(folder) if folder is not None else tempfile.TemporaryDirectory(prefix="telescope-adapt-") as work:
        new, steps = _train(learning, folder_of_base, arguments, settings, Path(work), progress)
    facts |= {"steps": steps, "batch_pairs": arguments.batch_pairs, "seconds": round(time.perf_counter() - begun, 1)}
    told = f"adapted to {counted(able, 'source')} in {counted(steps, 'step')}"
    if held_out is not None:
        compared = held_out.compare(untrained, new, seed=settings.seed, device=settings.device)
        facts |= {"before": compared.before, "after": compared.after}
        if compared.worse and not settings.always:
            return without_training(f"training made it worse on the sources that were held out: {compared}")
        told = f"{told}; AUROC on sources that were held out: {compared}"
    say(told)
    return Adaptation(new, folder_of_base, facts | {"adapted": True}, kept)


def _kept_out(table: pa.Table, settings: AdaptSettings, shortest: int) -> tuple[pa.Array, dict[str, Any]]:
    """The held-out sources, and facts from which `analysis.embedding_stage.unseen_windows` finds them again.

    Args:
        table: windows of any length.
        settings: settings of the adaptation.
        shortest: records of a source that has enough to learn from it.
    """
    sources = pc.unique(table["source"])
    share = _share_to_hold_out(settings.hold_out, _able_sources(table, shortest))
    kept = sources.filter(pa.array(keep_out(sources, share, settings.seed)))
    digest = digest_of_sources(sources)
    return kept, {"kept_out": len(kept), "hold_out": share, "seed": settings.seed, "sources_digest": digest}


def _share_to_hold_out(share: float, able: int) -> float:
    """The given share of the sources, or more if that is too few of the `able` ones, which have two windows."""
    enough = HELD_OUT / max(able, 1)
    return enough if 0 < share < enough <= MOST_HELD_OUT else share


def _able_sources(windows: pa.Table, records: int) -> int:
    """The number of sources with at least so many records."""
    counts = windows.group_by("source").aggregate([("n_records", "sum")])["n_records_sum"].to_numpy()
    return int((counts >= records).sum())


def _fitted(arguments: TrainingArguments, settings: AdaptSettings, able: int) -> TrainingArguments:
    """The recipe's arguments, overridden by the settings, with a batch size that the sources can fill.

    A batch has at most half of the sources: if it had all of them, every step would have the same negatives.
    """
    pairs = min(arguments.batch_pairs, able // 2)
    arguments = _with_steps(replace(arguments, batch_pairs=pairs), settings.steps or arguments.steps)
    return with_precision_of_device(fastest_precision(arguments))


def _with_steps(arguments: TrainingArguments, steps: int) -> TrainingArguments:
    """The arguments with another number of steps, of which the warm-up is at most a quarter."""
    return replace(arguments, steps=steps, warmup_steps=min(arguments.warmup_steps, steps // 4))


def _train(
    windows: pa.Table,
    base: Path,
    arguments: TrainingArguments,
    settings: AdaptSettings,
    work: Path,
    progress: bool,
) -> tuple[TelescopeForContrastiveLearning, int]:
    """Train on the windows; returns the model and the number of steps."""
    with disk_errors(work):
        work.mkdir(parents=True, exist_ok=True)
    accelerator = make_accelerator(arguments, work)
    with torch.random.fork_rng():
        torch.manual_seed(arguments.seed)
        model, tokenizer = make_model(arguments) if settings.from_scratch else load_model(base)
        store = store_of_windows(windows, tokenizer)
        identity = {"windows": _digest(store), "from_scratch": settings.from_scratch, "base": _weights_digest(model)}

        def trainer_of(model: TelescopeForContrastiveLearning, arguments: TrainingArguments, folder: Path) -> Trainer:
            return make_trainer(
                accelerator, model, tokenizer, [store], arguments, folder, identity, progress=progress
            )[0]

        with one_thread():
            if settings.seconds is not None:
                steps = _affordable_steps(settings.seconds, model, arguments, work, trainer_of)
                arguments = _with_steps(arguments, steps)
            trainer = trainer_of(model, arguments, work)
            trainer.run()
        trained: Any = accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        accelerator.free_memory()
    # The kernel that is fastest for short windows in training may be slow for long windows later.
    trained.set_attn_implementation("sdpa")
    return trained.to("cpu").eval(), arguments.steps


def _affordable_steps(
    seconds: float,
    model: TelescopeForContrastiveLearning,
    arguments: TrainingArguments,
    work: Path,
    trainer_of: Callable[[TelescopeForContrastiveLearning, TrainingArguments, Path], Trainer],
) -> int:
    """Steps that fit into the budget, measured on a copy of the model; stored for a continuation."""
    plan = work / "plan.json"
    if plan.is_file():
        return int(_read_plan(plan)["steps"])
    with tempfile.TemporaryDirectory(prefix="telescope-timing-") as folder:
        timed = replace(arguments, steps=TIMED_STEPS, log_every=1, save_every=TIMED_STEPS + 1, warmup_steps=0)
        trainer = trainer_of(copy.deepcopy(model), timed, Path(folder))
        taken = trainer.time_steps(TIMED_STEPS)
    fitting = math.floor(TRAINING_SHARE * seconds / taken)
    steps = min(arguments.steps, max(FEWEST_STEPS, fitting))
    write_text(plan, json.dumps({"steps": steps}) + "\n")
    return steps


def _read_plan(path: Path) -> Mapping[str, Any]:
    try:
        plan: dict[str, Any] = read_json(path)
        if not isinstance(plan["steps"], int) or plan["steps"] < 1:
            raise ValueError(f"steps are {plan['steps']!r}")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"{path}: not a plan of an adaptation: {reason(error)}") from error
    return plan


def _digest(store: RecordStore) -> str:
    """Digest of the training data."""
    digest = blake2b(digest_size=16)
    for values in (store.encoded["input_ids"], store.encoded["inter_arrival"], store.offsets, store.networks):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _weights_digest(model: TelescopeForContrastiveLearning) -> str:
    digest = blake2b(digest_size=16)
    for name, values in model.state_dict().items():
        digest.update(name.encode() + values.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
