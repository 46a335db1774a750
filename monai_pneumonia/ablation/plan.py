"""From a study to its jobs: each with a hash over all that its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from monai_pneumonia import __version__
from monai_pneumonia.ablation.study import Arm, Study
from monai_pneumonia.data import phantoms
from monai_pneumonia.data.datalist import Datalist, load_datalist

TRAINING = "training"
PRETRAINING = "pretraining"
HASH_LENGTH = 12
# What a result depends on; pages, figures and the command line are none of it.
_RESULT_PACKAGES = ("radiograph", "data", "transforms", "networks", "losses", "metrics", "inference", "evaluation", "handlers", "engines")
_RESULT_MODULES = ("ablation/localization.py", "ablation/work.py")


@dataclass(frozen=True)
class Job:
    """One training with its predictions, or one pre-training.

    Attributes:
        kind: ``training`` or ``pretraining``.
        arm: whose; that of a pre-training is ``pretraining``, for several arms may share it.
        seed: of folds, weights and order.
        fold: that is held out.
        n_folds: of how many.
        label_fraction: share of the training patients whose labels are used.
        overrides: of the bundle's configuration.
        config_hash: over all of this, the data and the code.
        needs: the id of the pre-training that it starts from; None for none.
    """

    kind: str
    arm: str
    seed: int
    fold: int
    n_folds: int
    label_fraction: float
    overrides: Mapping[str, Any]
    config_hash: str
    needs: str | None = None

    @property
    def id(self) -> str:
        """Names the job's folder; jobs of another hash have another."""
        share = "" if self.kind == PRETRAINING else f"-{self.label_fraction:g}"
        return f"{self.arm}-seed{self.seed}-fold{self.fold}{share}-{self.config_hash}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def plan_jobs(
    study: Study,
    arms: Mapping[str, Arm],
    data_sha256: str,
    code_version: str,
    folds: Sequence[int] | None = None,
    label_fractions: Sequence[float] | None = None,
    epochs: int | None = None,
) -> list[Job]:
    """All jobs, fold by fold, so that a study that is broken off has whole folds; a pre-training comes before those that need it.

    Args:
        study: the study.
        arms: which of its arms.
        data_sha256: of the data.
        code_version: of the code and the bundle's configurations.
        folds: which folds; all by default.
        label_fractions: leaves out others; None takes those of the arms.
        epochs: of every training; None leaves them to the arms.
    """
    jobs: dict[str, Job] = {}
    for seed in study.seeds:
        for fold in range(study.n_folds) if folds is None else folds:
            for arm, share in _arm_shares(arms, label_fractions):
                common = {"data": data_sha256, "code": code_version, "seed": seed, "fold": fold, "n_folds": study.n_folds}
                needs = None
                if arm.pretraining is not None:
                    settings = dict(arm.pretraining)
                    digest = config_hash({**common, "kind": PRETRAINING, "overrides": settings})
                    needed = Job(PRETRAINING, PRETRAINING, seed, fold, study.n_folds, 1.0, settings, digest)
                    needs = needed.id
                    jobs.setdefault(needs, needed)
                overrides = _with_epochs(arm.overrides, epochs)
                digest = config_hash(
                    {**common, "kind": TRAINING, "overrides": overrides, "label_fraction": share, "needs": needs, "splits": _plain(study)}
                )
                job = Job(TRAINING, arm.name, seed, fold, study.n_folds, share, overrides, digest, needs)
                jobs[job.id] = job
    return list(jobs.values())


def _with_epochs(overrides: Mapping[str, Any], epochs: int | None) -> dict[str, Any]:
    """Overrides with another number of epochs, the last of which is validated."""
    if epochs is None:
        return dict(overrides)
    interval = min(int(overrides.get("val_interval", 1)), epochs)
    return {**overrides, "max_epochs": epochs, **({"val_interval": interval} if "val_interval" in overrides else {})}


def _plain(study: Study) -> list[dict[str, Any]]:
    return [asdict(split) for split in study.splits]


def _arm_shares(arms: Mapping[str, Arm], label_fractions: Sequence[float] | None) -> Iterator[tuple[Arm, float]]:
    for arm in arms.values():
        for share in arm.label_fractions:
            if label_fractions is None or share in label_fractions:
                yield arm, share


def config_hash(content: Mapping[str, Any]) -> str:
    """A short hash of plain values, whatever their order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:HASH_LENGTH]


def hash_data(*datalists: Path) -> str:
    """SHA-256 over datalists and the names and sizes of all their files; the pictures' bytes are not read.

    Raises:
        BadInputError: a datalist is broken, or one of its files does not exist.
    """
    digest = hashlib.sha256()
    for file in datalists:
        digest.update(file.read_bytes())
        for name, size in _file_sizes(load_datalist(file)):
            digest.update(f"{name} {size}\n".encode())
    return digest.hexdigest()


def _file_sizes(datalist: Datalist) -> Iterator[tuple[str, int]]:
    for _, item in datalist.items():
        for name in (item.image, item.mask):
            if name is not None:
                yield name, datalist.existing(item, name).stat().st_size


def hash_code(bundle: Path) -> str:
    """The version and a hash of the sources that results depend on and of the bundle's configurations."""
    package = Path(__file__).parents[1]
    sources = [file for name in _RESULT_PACKAGES for file in sorted((package / name).rglob("*.py"))]
    named = [(file.relative_to(package).as_posix(), file) for file in (*sources, *(package / name for name in _RESULT_MODULES))]
    named += [(f"configs/{file.name}", file) for file in sorted((bundle / "configs").iterdir()) if file.suffix in (".yaml", ".json")]
    return f"{__version__}+{_hash_files(named)}"


def hash_phantom_code() -> str:
    """A hash of the sources that phantoms depend on."""
    folder = Path(phantoms.__file__).parent
    return _hash_files([(file.name, file) for file in sorted(folder.glob("*.py"))])


def _hash_files(named: Sequence[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, file in named:
        digest.update(name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:HASH_LENGTH]
