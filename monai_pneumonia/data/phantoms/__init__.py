"""Synthetic chest X-rays with known lesions, for the demo and the tests: drawn, not learnt, from a seed."""

from monai_pneumonia.data.phantoms.generate import Phantom, PhantomSpec, generate_phantom
from monai_pneumonia.data.phantoms.hospitals import HOSPITALS, Hospital
from monai_pneumonia.data.phantoms.plan import PlannedItem, plan_items
from monai_pneumonia.data.phantoms.settings import PARTS, PhantomSettings
from monai_pneumonia.data.phantoms.write import PhantomFiles, write_phantoms

__all__ = [
    "HOSPITALS",
    "PARTS",
    "Hospital",
    "Phantom",
    "PhantomFiles",
    "PhantomSettings",
    "PhantomSpec",
    "PlannedItem",
    "generate_phantom",
    "plan_items",
    "write_phantoms",
]
