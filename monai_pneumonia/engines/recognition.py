"""Recognition as an Ignite engine: what ``monai-pneumonia predict`` does, for a bundle's configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ignite.engine import Engine, Events
from monai.data import Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.transforms import Compose
from monai.utils.enums import CommonKeys

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.engines.faults import one_line_errors
from monai_pneumonia.errors import BadInputError, ExitCode, PneumoniaError
from monai_pneumonia.inference import LesionRecognizer, LesionReport, PictureFiles, PredictionWriter
from monai_pneumonia.inference.recognizer import prepare_or_error

PICTURE_KEY = "picture"


class PictureDataset(Dataset):
    """Pictures as network inputs; one that cannot be used is its error, so that it still gets its row.

    Args:
        data: records of :func:`picture_records`.
        transform: a recogniser's preprocessing.
    """

    def __init__(self, data: Sequence[dict[str, Any]], transform: Compose) -> None:
        super().__init__(list(data), transform)

    def _transform(self, index: int) -> dict[str, Any]:
        record = self.data[index]
        return {PICTURE_KEY: record[PICTURE_KEY], CommonKeys.IMAGE: prepare_or_error(self.transform, record[PICTURE_KEY].path)}


def picture_records(found: PictureFiles) -> list[dict[str, Any]]:
    """The pictures of a run as records."""
    return [{PICTURE_KEY: picture} for picture in found.pictures]


class RecognitionEvaluator(SupervisedEvaluator):
    """Recognises batches of :class:`PictureDataset` items by the one inference path, :meth:`LesionRecognizer.recognize_inputs`.

    Takes the arguments of MONAI's ``SupervisedEvaluator``; the loader must give lists of items (``collate_fn=list``).
    The output's ``pred`` is a list of (picture file, LesionReport or PneumoniaError).

    Args:
        recognizer: what recognises; its network stands for ``network``.
        **kwargs: of ``SupervisedEvaluator``.
    """

    def __init__(self, *, recognizer: LesionRecognizer, **kwargs: Any) -> None:
        self.recognizer = recognizer
        super().__init__(**{"device": recognizer.device, "network": recognizer.network, "decollate": False, **kwargs})

    def _iteration(self, engine: SupervisedEvaluator, batchdata: list[dict[str, Any]]) -> dict[str, Any]:
        inputs = [item[CommonKeys.IMAGE] for item in batchdata]
        usable = [picture for picture in inputs if isinstance(picture, MetaTensor)]
        reports = iter(self.inferer(usable, self.recognizer.recognize_inputs) if usable else [])
        outcomes: list[LesionReport | PneumoniaError] = [
            next(reports) if isinstance(picture, MetaTensor) else picture for picture in inputs
        ]
        engine.state.output = {CommonKeys.PRED: [(item[PICTURE_KEY], outcome) for item, outcome in zip(batchdata, outcomes, strict=True)]}
        return engine.state.output  # type: ignore[no-any-return]


class PredictionFiles:
    """Handler that gives every outcome of a :class:`RecognitionEvaluator` to a writer; its files appear at the end, or not at all.

    Args:
        writer: not yet entered.
    """

    def __init__(self, writer: PredictionWriter) -> None:
        self.writer = writer

    def attach(self, engine: Engine) -> None:
        """Follows the engine from start to end."""
        engine.add_event_handler(Events.STARTED, lambda: self.writer.__enter__())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.COMPLETED, lambda: self.writer.__exit__(None, None, None))
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._discard)

    def _add(self, engine: Engine) -> None:
        for picture, outcome in engine.state.output[CommonKeys.PRED]:
            self.writer.add(picture.id, picture.path, outcome, picture.listed_as)

    def _discard(self, engine: Engine, error: BaseException) -> None:
        self.writer.__exit__(type(error), error, error.__traceback__)
        raise error


def report_recognition(writer: PredictionWriter) -> None:
    """Prints what a recognition run served.

    Raises:
        SystemExit: code 4 where no picture could be used.
    """
    total = sum(writer.counts.values())
    counts = ", ".join(f"{writer.counts[status]} {status}" for status in ("ok", "rejected", "error"))
    print(f"{total} pictures: {counts}; written to {writer.output}. {RESEARCH_USE_ONLY}", flush=True)
    if writer.first_error is not None and not writer.counts["ok"]:
        others = f" (and {total - 1} more; predictions.csv tells each reason)" if total > 1 else ""
        with one_line_errors():
            raise BadInputError(f"no picture could be analysed: {writer.first_error}{others}")


def end_recognition(writer: PredictionWriter) -> None:
    """Ends with the exit code that tells how much was served; the last expression of a run.

    Raises:
        SystemExit: code 5 where some pictures could not be used.
    """
    if writer.first_error is not None:
        raise SystemExit(int(ExitCode.PARTLY_SERVED))
