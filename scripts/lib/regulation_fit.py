"""How well networks meet the aim of contrastive regulation on pictures that none of them was trained on.

.venv/bin/python scripts/lib/regulation_fit.py DATALIST BUNDLE...

For each bundle: the loss of regulation (InfoNCE) on the outlined testing pictures with the network's own attention map, with a map
that is the same everywhere (chance), and with the true outline; and the share of the map that lies inside outlines. Weights that
were trained with and without regulation, kept by `scripts/ablation --keep-weights`, show what it teaches.

Research use only, not for diagnosis.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from monai_pneumonia.data.datalist import Datalist, load_datalist
from monai_pneumonia.data.records import section_records
from monai_pneumonia.engines import training_preprocessing
from monai_pneumonia.inference import LesionRecognizer
from monai_pneumonia.losses import FeatureRegulationLoss, LesionTarget

COLUMNS = ("bundle", "own map", "same everywhere", "true outline", "map inside outlines", "outlines' area")
PARTS = ("target", "image", "outline", "outline_kind")


def outlined_pictures(datalist: Datalist, size: int, resize_mode: str) -> LesionTarget:
    """The testing pictures with an outline, as the network sees them."""
    preprocessing = training_preprocessing(size, resize_mode, outlines=True)
    samples = [preprocessing(record) for record in section_records(datalist, "testing")]
    samples = [sample for sample in samples if float(sample["outline"].sum()) > 0]
    if not samples:
        raise SystemExit("error: no testing picture of the datalist has an outline")
    return LesionTarget(*(torch.stack([torch.as_tensor(sample[key]) for sample in samples]) for key in PARTS))


def fit_of(bundle: Path, datalist: Datalist) -> list[float]:
    """The figures of one bundle, in the order of :data:`COLUMNS`."""
    recognizer = LesionRecognizer.from_bundle(bundle, "cpu")
    target = outlined_pictures(datalist, recognizer.description.input_size, recognizer.description.resize_mode)
    with torch.no_grad():
        output = recognizer.network.explain(target.images)
        if output.attention is None:
            raise SystemExit(f"error: {bundle} holds a network without attention")
        attention = output.attention
        outline = target.outline_on(attention.shape[-2:])
        loss = FeatureRegulationLoss()
        losses = [float(loss(output.levels, attention_map, outline)) for attention_map in (attention, torch.ones_like(attention), outline)]
        inside = ((attention * outline).sum(dim=(1, 2, 3)) / attention.sum(dim=(1, 2, 3))).mean()
    return [*losses, float(inside), float(outline.mean())]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datalist", type=Path)
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE")
    arguments = parser.parse_args()
    datalist = load_datalist(arguments.datalist)
    table = Table(*COLUMNS)
    for bundle in arguments.bundles:
        table.add_row(
            bundle.parent.name if bundle.name == "bundle" else bundle.name, *(f"{value:.3f}" for value in fit_of(bundle, datalist))
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
