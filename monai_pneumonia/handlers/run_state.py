"""Checkpoint and resume: a killed training goes on where its last whole epoch ended."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from monai_pneumonia.errors import ModelFaultError, UsageError
from monai_pneumonia.whole_files import whole_file

_LOGGER = logging.getLogger(__name__)
CHECKPOINT_NAME = "last.pt"
_PROCESSES = "processes"


class RunState:
    """Saves the whole state of a training after every epoch, and takes it up again.

    Attach it last, so that all other handlers have done their epoch's work. Ignite's ``Checkpoint`` and MONAI's
    ``CheckpointSaver`` keep a history of files, but tell neither which configuration a file belongs to nor that a
    finished training is finished; here there is one file, replaced as a whole.

    Args:
        directory: folder of the checkpoint.
        objects: everything with ``state_dict`` that the training depends on, by name (network, optimiser, scheduler,
            average, best weights, ...); the engine itself is added.
        settings: plain values that must be the same for a resume to make sense.
    """

    def __init__(self, directory: str | Path, objects: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        self.file = Path(directory) / CHECKPOINT_NAME
        self.objects = {name: value for name, value in objects.items() if value is not None}
        self.settings = dict(settings)

    def attach(self, engine: Engine) -> None:
        """Resumes at the engine's start, saves after each of its epochs."""
        engine.add_event_handler(Events.STARTED, self._resume)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    def _members(self, engine: Engine) -> dict[str, Any]:
        scaler = getattr(engine, "scaler", None)
        return {**self.objects, **({} if scaler is None else {"scaler": scaler})}

    def _resume(self, engine: Engine) -> None:
        if not self.file.is_file():
            return
        # Our own file of this output folder; optimisers and samplers keep plain values beside tensors.
        try:
            content = torch.load(self.file, map_location=idist.device(), weights_only=True)
            check_settings(self.file, content["settings"], self.settings)
            for name, member in self._members(engine).items():
                member.load_state_dict(content[name])
        except (RuntimeError, KeyError, ValueError, EOFError, UnpicklingError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelFaultError(
                f"the checkpoint {self.file} is damaged or of another network ({reason}): "
                "delete it to begin anew, or choose another `output_dir`"
            ) from error
        self._tell_other_processes(content.get(_PROCESSES))
        engine.state.epoch = content["epoch"]
        engine.state.iteration = content["iteration"]
        _LOGGER.info("resumed after epoch %d of %s from %s", content["epoch"], engine.state.max_epochs, self.file)

    def _tell_other_processes(self, processes: int | None) -> None:
        """Warns where another number of processes goes on: the batch is the same, but not who draws what of it."""
        if processes not in (None, idist.get_world_size()) and idist.get_rank() == 0:
            _LOGGER.warning(
                "%s was saved by %d process(es), and %d go(es) on: the weights will not be those of an unbroken run",
                *(self.file, processes, idist.get_world_size()),
            )

    def _save(self, engine: Engine) -> None:
        """Saves the state; one with weights that are not finite would make every resume fail, so it is refused.

        Raises:
            ModelFaultError: the weights are not finite.
        """
        parameters = self.objects["network"].state_dict() if "network" in self.objects else {}
        if not all(bool(torch.isfinite(value).all()) for value in parameters.values() if value.is_floating_point()):
            raise ModelFaultError(f"weights became infinite in epoch {engine.state.epoch}: lower `learning_rate`; {self.file} is untouched")
        if idist.get_rank() == 0:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            content = {name: member.state_dict() for name, member in self._members(engine).items()}
            content |= {"settings": self.settings, "epoch": engine.state.epoch, "iteration": engine.state.iteration}
            content[_PROCESSES] = idist.get_world_size()
            with whole_file(self.file) as unfinished:
                torch.save(content, unfinished)
        idist.barrier()


def check_settings(file: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Checks that a checkpoint was made under the same settings.

    Raises:
        UsageError: it was not; the differing keys are named.
    """
    changed = [key for key in sorted({*saved, *wanted}) if saved.get(key) != wanted.get(key)]
    if changed:
        told = ", ".join(_difference(key, saved.get(key), wanted.get(key)) for key in changed)
        raise UsageError(
            f"{file} is of a training with other settings ({told}): choose another `output_dir` for a new training, or delete that file"
        )


def _difference(key: str, then: Any, now: Any) -> str:
    """What differs; of two mappings, the entries that do."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        entries = [entry for entry in sorted({*then, *now}) if then.get(entry) != now.get(entry)]
        return ", ".join(_difference(f"{key}#{entry}", then.get(entry), now.get(entry)) for entry in entries)
    return f"{key}: {then!r} then, {now!r} now"
