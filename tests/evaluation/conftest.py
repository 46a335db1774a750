"""A made-up data set with predictions that hold every case an evaluation must account for."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_pneumonia.evaluation import evaluate_predictions

CLASSES = ("normal", "bacterial", "viral", "covid19")
GROUP = "pneumonia_unspecified"
COLUMNS = (
    "id",
    "image",
    "status",
    "reason",
    *(f"prob_{name}" for name in CLASSES),
    "p_pneumonia",
    "decision",
    "uncertainty",
    "n_lesions",
    "model_version",
    "weights_sha256",
)


@dataclass
class Study:
    """A folder with a datalist and predictions, both still lists that a test may change before they are written."""

    folder: Path
    sections: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"training": [], "validation": [], "testing": []})
    rows: list[dict[str, Any]] = field(default_factory=list)
    columns: Sequence[str] = COLUMNS

    def item(self, name: str, label: str | None, section: str = "testing", **values: Any) -> None:
        self.sections[section].append({"id": name, "image": f"images/{name}.png", "label": label, **values})

    def predict(self, name: str, probabilities: Sequence[float], decision: str | None = None, **values: Any) -> dict[str, Any]:
        p = 1 - probabilities[0]
        row = {
            "id": name,
            "image": f"images/{name}.png",
            "status": "ok",
            **{f"prob_{label}": f"{share:.6f}" for label, share in zip(CLASSES, probabilities, strict=True)},
            "p_pneumonia": f"{p:.6f}",
            "decision": decision or ("pneumonia" if p >= 0.5 else "no_pneumonia"),
            "uncertainty": 0.1,
            "n_lesions": 0,
            "model_version": "resnet18-1",
            "weights_sha256": "ab" * 32,
            **values,
        }
        self.rows.append(row)
        return row

    def fail(self, name: str, status: str) -> None:
        self.rows.append({"id": name, "image": "x", "status": status, "reason": "not a frontal view of patient Doe"})

    @property
    def datalist(self) -> Path:
        return self.folder / "datalist.json"

    @property
    def predictions(self) -> Path:
        return self.folder / "predictions.csv"

    def write(self) -> Study:
        content = {"name": "made up", "classes": CLASSES, "groups": {GROUP: CLASSES[1:]}, **self.sections}
        self.datalist.write_text(json.dumps(content), encoding="utf-8")
        with self.predictions.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, self.columns, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self.rows)
        return self


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Four items of one section, one a class, all predicted right; not yet written."""
    folder = tmp_path / "study"
    folder.mkdir()
    made = Study(folder)
    for channel, name in enumerate(CLASSES):
        made.item(f"i{channel}", name, source="here")
        made.predict(f"i{channel}", np.full(4, 0.1) + 0.6 * np.eye(4)[channel])
    return made


def made_hospitals(folder: Path) -> Study:
    """Two hospitals: children with all classes but covid19, adults with normal, a group and no label; every way to be left out; written."""
    made = Study(folder)
    generator = np.random.default_rng(0)

    def guess(channel: int) -> np.ndarray:
        scores = generator.gamma(0.7, size=4) + 1.5 * np.eye(4)[channel]
        return scores / scores.sum()

    for at in range(48):
        channel = at % 3
        made.item(f"c{at:02}", CLASSES[channel], source="children", view="AP", age=at % 16, patient_id=f"secret-child-{at // 2}")
        made.predict(f"c{at:02}", guess(channel))
    for at in range(30):
        label, channel = ((CLASSES[0], 0), (GROUP, 1), (None, 2))[at % 3]
        made.item(f"a{at:02}", label, source="adults", view=("PA", "AP", None)[at % 3], age=40 + at, patient_id=f"secret-adult-{at}")
        made.predict(f"a{at:02}", guess(channel))
    made.item("silent", "viral", source="children")
    made.item("lateral", "viral", source="children")
    made.item("broken", "viral", source="elsewhere")
    made.fail("lateral", "rejected")
    made.fail("broken", "error")
    made.item("learned", "viral", section="training", source="children")
    made.predict("learned", guess(2))
    made.predict("stranger", guess(0))
    return made.write()


@pytest.fixture
def hospitals(tmp_path: Path) -> Study:
    """Two hospitals and every way to be left out; written."""
    folder = tmp_path / "hospitals"
    folder.mkdir()
    return made_hospitals(folder)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an evaluation of the two hospitals wrote: not to be changed."""
    made = made_hospitals(tmp_path_factory.mktemp("hospitals"))
    evaluate_predictions(made.predictions, made.datalist, made.folder / "out", resamples=50)
    return made.folder / "out"


@pytest.fixture
def refuses() -> Callable[..., str]:
    """Runs something that must raise, and gives the message."""

    def run(error: type[Exception], action: Callable[[], Any]) -> str:
        with pytest.raises(error) as caught:
            action()
        return str(caught.value)

    return run
