from __future__ import annotations

import numpy as np
import pytest

from monai_pneumonia.data.labels import DEFAULT_CLASSES, LabelSpace
from monai_pneumonia.errors import BadInputError


def test_default_space_is_the_contract():
    space = LabelSpace()
    assert space.classes == ("normal", "bacterial", "viral", "covid19") == DEFAULT_CLASSES
    assert space.groups == {"pneumonia_unspecified": ("bacterial", "viral", "covid19")}


@pytest.mark.parametrize(
    ("label", "target", "pneumonia"),
    [
        ("normal", [1, 0, 0, 0], False),
        ("covid19", [0, 0, 0, 1], True),
        ("pneumonia_unspecified", [0, 1, 1, 1], True),
        (None, [1, 1, 1, 1], None),
    ],
)
def test_label_becomes_the_set_of_classes_it_allows(label, target, pneumonia):
    space = LabelSpace()
    vector = space.target(label)
    assert vector.dtype == np.float32
    assert vector.tolist() == target
    assert space.candidates(label) == tuple(np.flatnonzero(target))
    assert space.is_pneumonia(label) is pneumonia
    assert space.knows(label)


def test_group_with_the_negative_class_leaves_pneumonia_open():
    space = LabelSpace.of(["normal", "bacterial"], {"either": ["normal", "bacterial"]})
    assert space.is_pneumonia("either") is None


def test_negative_class_is_normal_wherever_it_stands_and_else_the_first():
    assert LabelSpace.of(["viral", "normal"]).negative_index == 1
    assert LabelSpace.of(["healthy", "ill"]).negative_index == 0


def test_unknown_label_names_what_is_known():
    space = LabelSpace()
    assert not space.knows("tuberculosis")
    with pytest.raises(BadInputError, match=r"tuberculosis.*normal.*pneumonia_unspecified"):
        space.target("tuberculosis")


@pytest.mark.parametrize(
    ("classes", "groups"),
    [
        ([], {}),
        (["a", "a"], {}),
        (["a", "b"], {"a": ["b"]}),
        (["a", "b"], {"g": ["c"]}),
        (["a", "b"], {"g": []}),
    ],
)
def test_contradictory_spaces_are_refused(classes, groups):
    with pytest.raises(BadInputError):
        LabelSpace.of(classes, groups)
