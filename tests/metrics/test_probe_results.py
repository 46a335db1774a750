"""What probes find out, on features of which it is known what they tell."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import BadInputError
from monai_pneumonia.metrics.probe_results import (
    ALL,
    CLASS,
    ONE_SOURCE,
    PNEUMONIA,
    SOURCE,
    WITHIN_SOURCES,
    ProbeData,
    _auc_within,
    probe_results,
)
from monai_pneumonia.metrics.probes import PROBES

LABELS = LabelSpace()
UNSPECIFIED = "pneumonia_unspecified"


def section(labels, sources, features, start=0, **more):
    """Items of one patient each; features is a name's function of (labels, sources, generator), or several."""
    generator = np.random.default_rng(start)
    made = {name: make(np.array(labels), np.array([str(source) for source in sources]), generator) for name, make in features.items()}
    candidates = np.array([LABELS.target(label) > 0 for label in labels])
    return ProbeData(made, candidates, tuple(sources), more.get("patients") or tuple(f"p{start + at}" for at in range(len(labels))))


def telling_the_label(labels, sources, generator):
    return np.c_[labels != "normal", labels == "viral", labels == "covid19"] + 0.02 * generator.normal(size=(len(labels), 3))


def telling_the_source(labels, sources, generator):
    names = sorted(set(sources))
    return np.c_[tuple(sources == name for name in names)] + 0.02 * generator.normal(size=(len(labels), len(names)))


def noise(labels, sources, generator):
    return generator.normal(size=(len(labels), 4))


# Two hospitals with both kinds, in opposite proportions, and one without any pneumonia.
LABELLED = [
    *[("normal", "north")] * 30,
    *[("bacterial", "north")] * 6,
    *[("viral", "north")] * 4,
    *[("normal", "south")] * 8,
    *[("viral", "south")] * 14,
    *[("bacterial", "south")] * 10,
    *[(UNSPECIFIED, "south")] * 10,
    *[("normal", "west")] * 12,
    *[(None, "south")] * 5,
]


def both_sections(features, labelled=LABELLED):
    labels, sources = zip(*labelled, strict=True)
    return tuple(section(labels, sources, features, start=start) for start in (0, 1000))


def results_of(features, labelled=LABELLED, resamples=60):
    return probe_results(*both_sections(features, labelled), LABELS, resamples)


def pick(results, question, part=ALL, probe="linear", metric=None, source=None, fitted_on=ALL):
    (found,) = [
        row
        for row in results
        if (row.question, row.part, row.probe, row.source, row.fitted_on) == (question, part, probe, source, fitted_on)
        and metric in (None, row.metric)
    ]
    return found


@pytest.fixture(scope="module")
def compared():
    return results_of({"pretrained": telling_the_label, "random": telling_the_source, "noise": noise})


@pytest.mark.parametrize("probe", PROBES)
class TestWhatIsKnown:
    def test_features_of_the_label_tell_pneumonia_everywhere(self, compared, probe):
        for part, source in ((ALL, None), (WITHIN_SOURCES, None), (ONE_SOURCE, "north"), (ONE_SOURCE, "south")):
            entry = pick(compared, PNEUMONIA, part, probe, source=source).values["pretrained"]
            assert entry.value == 1
            assert (entry.low, entry.high) == (1, 1)
        assert pick(compared, CLASS, probe=probe, metric="macro_auc").values["pretrained"].value == 1
        assert pick(compared, CLASS, probe=probe, metric="balanced_accuracy").values["pretrained"].value == 1

    def test_features_of_the_source_tell_it_and_nothing_within_it(self, compared, probe):
        assert pick(compared, SOURCE, probe=probe, metric="balanced_accuracy").values["random"].value == 1
        assert pick(compared, SOURCE, probe=probe, metric="macro_auc").values["random"].value == 1
        # Overall the source stands for the label; within a source the same scores are chance.
        assert pick(compared, PNEUMONIA, probe=probe).values["random"].value > 0.75
        within = pick(compared, PNEUMONIA, WITHIN_SOURCES, probe).values["random"]
        assert within.low < 0.5 < within.high
        assert 0.3 < within.value < 0.7

    def test_a_source_of_one_kind_is_undefined_and_has_no_probe_of_its_own(self, compared, probe):
        row = pick(compared, PNEUMONIA, ONE_SOURCE, probe, source="west")
        assert all(entry.value is None and entry.low is None and entry.n == 12 for entry in row.values.values())
        assert all(entry.value is None for entry in row.differences.values())
        own = {row.source for row in compared if row.fitted_on == ONE_SOURCE}
        assert own == {"north", "south"}

    def test_noise_tells_nothing(self, compared, probe):
        for row in (pick(compared, PNEUMONIA, probe=probe), pick(compared, SOURCE, probe=probe, metric="macro_auc")):
            assert abs(row.values["noise"].value - 0.5) < 0.15

    def test_differences_are_the_first_less_the_other(self, compared, probe):
        row = pick(compared, SOURCE, probe=probe, metric="balanced_accuracy")
        assert set(row.differences) == {"random", "noise"}
        for name, entry in row.differences.items():
            assert entry.value == pytest.approx(row.values["pretrained"].value - row.values[name].value)
            assert entry.low <= entry.value <= entry.high


def test_items_are_counted_by_what_their_labels_decide(compared):
    # 94 of the 99 have a label, ten of them a group: pneumonia is decided, the class is not.
    assert pick(compared, PNEUMONIA).values["pretrained"].n == 94
    assert pick(compared, CLASS, metric="macro_auc").values["pretrained"].n == 84
    assert pick(compared, SOURCE, metric="macro_auc").values["pretrained"].n == 99


def test_chance_is_that_of_the_kinds(compared):
    # normal, bacterial and viral; north, south and west.
    assert pick(compared, CLASS, metric="balanced_accuracy").chance == pytest.approx(1 / 3)
    assert pick(compared, SOURCE, metric="balanced_accuracy").chance == pytest.approx(1 / 3)
    assert {row.chance for row in compared if row.metric.endswith("auc")} == {0.5}


def test_equal_features_differ_by_nothing():
    def same(labels, sources, generator):
        return noise(labels, sources, np.random.default_rng(5))

    for row in results_of({"pretrained": same, "random": same}):
        entry = row.differences["random"]
        assert entry.value in (0, None)
        assert entry.low in (0, None)
        assert entry.high in (0, None)


def test_a_paired_difference_is_narrower_than_two_intervals():
    def weak(labels, sources, generator):
        return (labels != "normal")[:, None] + np.random.default_rng(len(labels)).normal(size=(len(labels), 1))

    def a_little_weaker(labels, sources, generator):
        return weak(labels, sources, generator) + 0.1 * generator.normal(size=(len(labels), 1))

    row = pick(results_of({"pretrained": weak, "random": a_little_weaker}, resamples=300), PNEUMONIA)
    width = {name: entry.high - entry.low for name, entry in row.values.items()}
    assert row.differences["random"].high - row.differences["random"].low < 0.6 * min(width.values())


def test_pairs_of_one_hospital_against_a_loop():
    generator = np.random.default_rng(3)
    scores, truth = np.round(generator.random(40), 1), generator.integers(2, size=40)
    sources = generator.integers(3, size=40)
    weights = generator.integers(3, size=(4, 40)).astype(float)
    found = _auc_within(truth, [sources == source for source in range(3)])(np.c_[1 - scores, scores], weights)
    for row, value in zip(weights, found, strict=True):
        right = pairs = 0.0
        for ill, well in product(range(40), repeat=2):
            if truth[ill] == 1 and truth[well] == 0 and sources[ill] == sources[well]:
                count = row[ill] * row[well]
                pairs += count
                right += count * (scores[ill] > scores[well]) + count * 0.5 * (scores[ill] == scores[well])
        assert value == pytest.approx(right / pairs)


def test_with_a_single_hospital_within_is_the_whole():
    labelled = [(label, "north") for label, _ in LABELLED]
    results = results_of({"pretrained": noise}, labelled, resamples=0)
    assert pick(results, PNEUMONIA, WITHIN_SOURCES).values["pretrained"].value == pick(results, PNEUMONIA).values["pretrained"].value
    # One hospital cannot be told from another.
    assert all(row.values["pretrained"].value is None for row in results if row.question == SOURCE)


def test_the_auc_is_that_of_the_probe_fitted_by_hand():
    fitted, scored = both_sections({"pretrained": noise})
    ill = [np.array([label not in ("normal", None) for label, _ in LABELLED]), np.array([label is not None for label, _ in LABELLED])]
    features = [data.features["pretrained"][ill[1]] for data in (fitted, scored)]
    truth = ill[0][ill[1]].astype(int)
    patients = [name for name, known in zip(fitted.patients, ill[1], strict=True) if known]
    for name, fit in PROBES.items():
        expected = roc_auc_score(truth, fit(features[0], truth, patients)(features[1])[:, 1])
        row = pick(probe_results(fitted, scored, LABELS, 0), PNEUMONIA, probe=name)
        assert row.values["pretrained"].value == pytest.approx(expected)


def test_without_labels_only_the_source_is_told():
    results = results_of({"pretrained": telling_the_source}, [(None, source) for _, source in LABELLED], resamples=0)
    told = {(row.question, row.values["pretrained"].value) for row in results}
    assert {value for question, value in told if question != SOURCE} == {None}
    assert {value for question, value in told if question == SOURCE} == {1}


def test_unknown_hospitals_and_kinds_never_seen_take_no_part():
    features = {"pretrained": telling_the_label}
    labelled = [(label, None if source == "west" else source) for label, source in LABELLED]
    fitted, _ = both_sections(features, labelled)
    extra = [*labelled, ("covid19", "east")]
    scored = section(*zip(*extra, strict=True), features, start=1000)
    results = probe_results(fitted, scored, LABELS, 0)
    assert pick(results, SOURCE, metric="balanced_accuracy").chance == 0.5
    assert pick(results, SOURCE, metric="balanced_accuracy").values["pretrained"].n == 87
    assert pick(results, CLASS, metric="balanced_accuracy").values["pretrained"].n == 84
    # Pneumonia of a class that nobody was fitted on is still pneumonia.
    assert pick(results, PNEUMONIA).values["pretrained"].n == 95


def test_the_same_seed_gives_the_same_intervals():
    first, second = (results_of({"pretrained": noise, "random": telling_the_source}) for _ in range(2))
    assert first == second


def test_what_does_not_fit_is_told():
    fitted, scored = both_sections({"pretrained": noise})
    with pytest.raises(BadInputError, match="same encoders"):
        probe_results(fitted, both_sections({"random": noise})[1], LABELS)
    with pytest.raises(BadInputError, match="99 patient"):
        probe_results(fitted, fitted, LABELS)
    with pytest.raises(BadInputError, match="of the same items"):
        ProbeData({"pretrained": np.zeros((3, 2))}, scored.candidates, scored.sources, scored.patients)
    with pytest.raises(BadInputError, match="of the same items"):
        ProbeData({}, scored.candidates, scored.sources, scored.patients)
