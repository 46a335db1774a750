"""Results of trainings that never were: predictions drawn from a seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_pneumonia.ablation.localization import ATTENTION
from monai_pneumonia.ablation.measuring import MapTable, Result
from monai_pneumonia.ablation.plan import Job
from monai_pneumonia.data.datalist import DatalistItem
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.evaluation.joining import LabelledPredictions
from monai_pneumonia.metrics import LocalizationSample
from monai_pneumonia.metrics.registry import localization_names

LABELS = LabelSpace()
BASELINES = ("gradcampp_8", "gradcampp_16", "mean_outline")


def make_items(split: str, fold: int, count: int = 60) -> tuple[DatalistItem, ...]:
    """Three pictures a patient; every class and two hospitals."""
    classes = LABELS.classes
    part = f"{split}{fold if split == 'validation' else ''}"
    return tuple(
        DatalistItem(
            id=f"{part}-{number:02d}",
            image="x.png",
            label=classes[(number // 3) % 4],
            patient_id=f"{part}-{number // 3}",
            source="ab"[number % 2],
            mask_kind="pixel",
        )
        for number in range(count)
    )


def make_result(
    arm: str, fold: int, split: str, skill: float = 1.0, share: float = 1.0, seed: int = 0, seconds: float = 60.0, pointing: float = 0.5
) -> Result:
    """Predictions that are the better, the greater ``skill``; maps that point the better, the greater ``pointing``."""
    items = make_items(split, fold)
    generator = np.random.default_rng([len(arm), fold, len(split), round(100 * skill), seed])
    truth = np.array([LABELS.classes.index(str(item.label)) for item in items])
    logits = generator.normal(size=(len(items), 4)) + skill * np.eye(4)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    p = 1 - probabilities[:, 0]
    labelled = LabelledPredictions(LABELS, items, probabilities, np.eye(4)[truth] > 0, p, p > 0.5)
    names = localization_names("pixel")
    maps = {}
    baselines = {name: 0.1 + 0.1 * at for at, name in enumerate(BASELINES)} if arm == "plain" else {}
    for name, level in {ATTENTION: pointing, **baselines}.items():
        values = np.clip(level + generator.normal(0, 0.05, (len(items), len(names))), 0.01, 1)
        maps[name, "pixel"] = MapTable(LocalizationSample("pixel", values), items)
    job = Job("training", arm, seed, fold, 2, share, {}, f"hash-{arm}-{fold}")
    return Result(job, split, labelled, maps, seconds)


def make_results(skills: dict[str, float], splits: tuple[str, ...] = ("validation", "testing")) -> list[Result]:
    """Every arm over two folds and all splits."""
    return [make_result(arm, fold, split, skill) for arm, skill in skills.items() for fold in (0, 1) for split in splits]


def study_content() -> dict[str, Any]:
    """The content of a small study file."""
    return {
        "name": "small",
        "data": {"datalist": "datalist.json"},
        "splits": {"validation": {}, "testing": {}, "flipped": {"section": "testing", "datalist": "datalist_flipped.json"}},
        "n_folds": 2,
        "seeds": [0],
        "overrides": {"max_epochs": 2, "backbone": "resnet18"},
        "pretraining": {"max_epochs": 1},
        "arms": {
            "plain": {"label_fractions": [1.0, 0.1], "overrides": {"loss#name": "cross_entropy"}},
            "class_balanced": {"from": "plain", "overrides": {"loss#name": "class_balanced_softmax"}},
            "pretraining": {"from": "plain", "pretraining": True},
            "full": {
                "from": "class_balanced",
                "title": "all parts",
                "pretraining": {"max_epochs": 3},
                "overrides": {"attention#enabled": True},
            },
            "full_minus_pretraining": {"from": "full", "pretraining": False},
        },
        "questions": [{"ask": "Is it better?", "arm": "full", "split": "testing", "metric": "macro_auc"}],
    }
