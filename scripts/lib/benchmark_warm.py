"""What a further image costs in a running application, and what decoding it and the forward pass cost alone. Run in the container.

Prints one JSON list: a record an image and round, in milliseconds.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from time import perf_counter, process_time
from typing import NamedTuple

sys.path.insert(0, os.environ["HOLOSCAN_APPLICATION"])

from deploy_app.runtime import leave_out_unused, prepare_holoscan

prepare_holoscan()
leave_out_unused()

import torch  # noqa: E402

from deploy_app.request import Request  # noqa: E402
from deploy_app.run import serve  # noqa: E402
from monai_pneumonia.inference import LesionRecognizer  # noqa: E402
from monai_pneumonia.radiograph import read_radiograph  # noqa: E402


class Moment(NamedTuple):
    """A moment, or the time between two, in milliseconds."""

    wall: float
    cpu: float

    def since(self, earlier: Moment) -> Moment:
        """The time between."""
        return Moment(self.wall - earlier.wall, self.cpu - earlier.cpu)


def now() -> Moment:
    """The clock and the process's processor time."""
    return Moment(1000 * perf_counter(), 1000 * process_time())


class Events(logging.Handler):
    """When images were served, on the clock and in processor time."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[Moment] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a line."""
        if record.getMessage() == "image_served":
            self.ends.append(now())


def serving(source: Path, model: Path) -> list[Moment]:
    """From one image's end to the next one's, of all images but the first: loading, gate, recognition, results and publishing."""
    events = Events()
    logger = logging.getLogger("deploy_app")
    logger.handlers[:], logger.propagate = [events], False
    logger.setLevel("INFO")
    with tempfile.TemporaryDirectory(dir=os.environ["HOLOSCAN_OUTPUT_PATH"]) as output:
        outcome = serve(Request(source, Path(output), model, None))
    if outcome.exit_code or len(events.ends) < 3:
        sys.exit(f"error: the input must hold three images or more, all of which are served: {outcome.sentence} {outcome.error}")
    return [later.since(earlier) for earlier, later in pairwise(events.ends)]


def decoding_and_forward(path: Path, recognizer: LesionRecognizer) -> tuple[Moment, Moment]:
    """What reading the picture takes, and what the network."""
    started = now()
    radiograph = read_radiograph(path)
    decoding = now().since(started)
    inputs = recognizer.prepare(radiograph).as_tensor()[None].to(recognizer.device)
    started = now()
    with torch.inference_mode():
        recognizer.network.explain(inputs).logits.cpu()
    return decoding, now().since(started)


def main() -> None:
    """Rounds of serving and of the two parts, in turn, so that whatever else the machine does meets both."""
    source, model, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    recognizer = LesionRecognizer.from_bundle(model)
    files = sorted(source.iterdir())
    records = []
    for number in range(rounds + 1):
        served = serving(source, model)
        parts = [decoding_and_forward(path, recognizer) for path in files[1:]]
        if number == 0:  # the very first images wait for libraries to be loaded
            continue
        for path, total, (decoding, forward) in zip(files[1:], served, parts, strict=True):
            times = {"served": total._asdict(), "decoding": decoding._asdict(), "forward": forward._asdict()}
            records.append({"image": files.index(path), "round": number, **times})
    print(json.dumps(records))


if __name__ == "__main__":
    main()
