"""Labels as sets of candidate classes: a class, a group of classes, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from monai_pneumonia.errors import BadInputError

DEFAULT_CLASSES = ("normal", "bacterial", "viral", "covid19")
DEFAULT_GROUPS: Mapping[str, tuple[str, ...]] = {"pneumonia_unspecified": ("bacterial", "viral", "covid19")}
NEGATIVE_CLASS = "normal"


@dataclass(frozen=True)
class LabelSpace:
    """The classes of a data set, in the order of the network's outputs, and the groups that stand for several.

    Attributes:
        classes: class names; their position is their channel.
        groups: group name to the classes that it may mean.

    Raises:
        BadInputError: no class, a class twice, a group that is also a class, or a group of unknown classes.
    """

    classes: tuple[str, ...] = DEFAULT_CLASSES
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(DEFAULT_GROUPS))

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise BadInputError(f"classes must be one or more distinct names, got {list(self.classes)}")
        for group, members in self.groups.items():
            unknown = [name for name in members if name not in self.classes]
            if group in self.classes or unknown or not members:
                raise BadInputError(
                    f"group '{group}' must have a name of its own and hold classes of {list(self.classes)}, got {list(members)}"
                )

    @classmethod
    def of(cls, classes: Sequence[str], groups: Mapping[str, Sequence[str]] | None = None) -> LabelSpace:
        """Builds a label space from plain JSON or YAML values."""
        return cls(tuple(classes), {name: tuple(members) for name, members in (groups or {}).items()})

    @property
    def negative_index(self) -> int:
        """The channel of the class that means "no pneumonia": ``normal``, or the first class where none is called so."""
        return self.classes.index(NEGATIVE_CLASS) if NEGATIVE_CLASS in self.classes else 0

    def knows(self, label: str | None) -> bool:
        """Whether a label is a class, a group, or the absence of a label."""
        return label is None or label in self.classes or label in self.groups

    def candidates(self, label: str | None) -> tuple[int, ...]:
        """The channels that a label allows: one for a class, several for a group, all for None.

        Raises:
            BadInputError: the label is neither a class nor a group.
        """
        if label is None:
            return tuple(range(len(self.classes)))
        if label in self.classes:
            return (self.classes.index(label),)
        if label in self.groups:
            return tuple(self.classes.index(name) for name in self.groups[label])
        raise BadInputError(f"unknown label '{label}': neither a class of {list(self.classes)} nor a group of {list(self.groups)}")

    def target(self, label: str | None) -> np.ndarray:
        """The candidate set as a vector [C] of zeros and ones, float32.

        Raises:
            BadInputError: the label is neither a class nor a group.
        """
        vector = np.zeros(len(self.classes), dtype=np.float32)
        vector[list(self.candidates(label))] = 1.0
        return vector

    def is_pneumonia(self, label: str | None) -> bool | None:
        """Whether a label says pneumonia; None where it leaves that open."""
        channels = self.candidates(label)
        if self.negative_index not in channels:
            return True
        return False if channels == (self.negative_index,) else None
