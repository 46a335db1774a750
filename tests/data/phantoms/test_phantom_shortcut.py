"""The trap works: a hospital's look alone tells the class in training, and misleads in the flipped part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from monai_pneumonia.data.datalist import Datalist, load_datalist
from monai_pneumonia.data.phantoms import PhantomSettings, write_phantoms

SIDE = 40


def look(path: Path) -> list[float]:
    """What tells a hospital without looking at the lungs: grey levels, borders, corners where markers are, sharpness."""
    picture = np.asarray(Image.open(path).resize((SIDE, SIDE)), dtype=float) / 255
    frame = np.concatenate([picture[:3].ravel(), picture[-3:].ravel(), picture[:, :3].ravel(), picture[:, -3:].ravel()])
    corners = picture[: SIDE // 3, : SIDE // 5], picture[: SIDE // 3, -SIDE // 5 :]
    steps = np.abs(np.diff(picture, axis=0)).mean()
    quantiles = np.quantile(picture, [0.1, 0.5, 0.9])
    return [picture.mean(), picture.std(), frame.mean(), frame.std(), *quantiles, *(corner.max() for corner in corners), steps]


def examples(datalist: Datalist, section: str) -> tuple[np.ndarray, np.ndarray]:
    items = [item for item in datalist.section(section) if item.label in datalist.labels.classes]
    features = np.array([look(datalist.resolve(item.image)) for item in items])
    return features, np.array([datalist.labels.classes.index(str(item.label)) for item in items])


def areas(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Macro area under the curve over the classes, and that of pneumonia against normal."""
    by_class = [roc_auc_score(labels == number, probabilities[:, number]) for number in range(4)]
    return float(np.mean(by_class)), float(roc_auc_score(labels != 0, 1 - probabilities[:, 0]))


@pytest.mark.slow
def test_hospital_look_predicts_the_class_in_training_and_fails_on_the_flipped_part(tmp_path: Path) -> None:
    shares = {"training": 0.5, "validation": 0.02, "testing": 0.24, "flipped": 0.24}
    files = write_phantoms(tmp_path / "set", PhantomSettings(count=400, size=40, part_shares=shares))
    datalist, flipped = load_datalist(files.datalist), load_datalist(files.datalist_flipped)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    classifier.fit(*examples(datalist, "training"))
    results = {}
    for name, (features, labels) in {
        "training": examples(datalist, "training"),
        "testing": examples(datalist, "testing"),
        "flipped": examples(flipped, "testing"),
    }.items():
        results[name] = areas(classifier.predict_proba(features), labels)
    assert results["training"][0] > 0.85
    assert results["testing"][0] > 0.75
    assert results["testing"][1] > 0.75
    assert results["flipped"][0] < 0.5
    assert results["flipped"][1] < 0.5
