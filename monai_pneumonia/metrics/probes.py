"""Probes: simple classifiers over frozen features, which show what an encoder's features tell without training the encoder."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from monai_pneumonia.errors import BadInputError
from monai_pneumonia.metrics.weighted import Floats, Indices

Scorer = Callable[[Floats], Floats]
"""From features [M, D] to the probability of each kind [M, K], all kinds taken as equally common."""
Probe = Callable[[Floats, Indices, Sequence[str]], Scorer]

REGULARIZATIONS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""The values of C, the inverse strength of the L2 penalty, that cross-validation chooses from."""
DEFAULT_REGULARIZATION = 1e-2
"""C where a kind has one patient alone, so that nothing can be held out."""
MOST_FOLDS = 3
MOST_NEIGHBOURS = 20
SHARE_OF_NEIGHBOURS = 0.2
VOTE_TEMPERATURE = 0.1

_MOST_STEPS = 1000
_SMALLEST_PROBABILITY = 1e-12


def fit_linear(features: Floats, truth: Indices, patients: Sequence[str]) -> Scorer:
    """Logistic regression over standardised features; the penalty is chosen by cross-validation that keeps patients together.

    Kinds are weighted to count alike, in the fit and in the cross-validated log loss that chooses C.

    Args:
        features: [N, D].
        truth: the kind of each item [N], from 0 to K - 1, each of them present and K at least 2.
        patients: who each of the N items belongs to.

    Raises:
        BadInputError: shapes that do not fit, values that are not finite, or fewer than two kinds.
    """
    _check(features, truth, patients)
    return _scorer(_fit(_linear_model(_choose_regularization(features, truth, patients)), features, truth))


def fit_knn(features: Floats, truth: Indices, patients: Sequence[str]) -> Scorer:
    """The kinds of the nearest items by cosine distance d, each voting with exp(-d / 0.1) over the share of its kind.

    Features are standardised before: a common offset, which pooled activations have, would be all that the cosine sees. At
    most 20 neighbours vote, and at most a fifth of the items.

    Args:
        features: [N, D].
        truth: the kind of each item [N], from 0 to K - 1, each of them present and K at least 2.
        patients: who each of the N items belongs to; nothing is chosen here, so they are not used.

    Raises:
        BadInputError: shapes that do not fit, values that are not finite, or fewer than two kinds.
    """
    _check(features, truth, patients)
    neighbours = max(1, min(MOST_NEIGHBOURS, int(SHARE_OF_NEIGHBOURS * len(truth))))
    voting = KNeighborsClassifier(neighbours, weights=_vote, metric="cosine", algorithm="brute")
    model = make_pipeline(StandardScaler(), voting).fit(features, truth)
    shares = np.bincount(truth) / len(truth)

    def score(unseen: Floats) -> Floats:
        votes = _scorer(model)(unseen) / shares
        return np.asarray(votes / votes.sum(axis=1, keepdims=True))

    return score


PROBES: Mapping[str, Probe] = {"linear": fit_linear, "knn": fit_knn}


def _vote(distances: Floats) -> Floats:
    # Over the nearest one, so that the farthest of all still has a vote above zero.
    return np.asarray(np.exp((distances.min(axis=1, keepdims=True) - distances) / VOTE_TEMPERATURE))


def _scorer(model: Pipeline) -> Scorer:
    return lambda unseen: np.asarray(model.predict_proba(unseen), dtype=np.float64) if len(unseen) else np.zeros((0, len(model.classes_)))


def _check(features: Floats, truth: Indices, patients: Sequence[str]) -> None:
    if features.ndim != 2 or truth.shape != (len(features),) or len(patients) != len(features):
        raise BadInputError(
            "features must have the shape [N, D], with one kind and one patient for each of the N items; "
            f"got {list(features.shape)}, {list(truth.shape)} and {len(patients)}"
        )
    if not np.isfinite(features).all():
        raise BadInputError("features must be finite; some are not: the encoder's weights or the pictures are damaged")
    kinds = np.unique(truth)
    if len(kinds) < 2 or kinds.tolist() != list(range(len(kinds))):
        raise BadInputError(f"a probe needs two kinds or more, numbered from 0 without a gap; got {kinds.tolist()}")


def _linear_model(regularization: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=regularization, class_weight="balanced", max_iter=_MOST_STEPS))


def _choose_regularization(features: Floats, truth: Indices, patients: Sequence[str]) -> float:
    """The value of C with the lowest log loss over held-out patients, kinds counting alike; of equal ones the strongest penalty."""
    weights = (len(truth) / np.bincount(truth))[truth]
    losses = np.zeros(len(REGULARIZATIONS))
    folds = 0
    for fitted, held_out in _folds(truth, patients):
        folds += 1
        for position, regularization in enumerate(REGULARIZATIONS):
            scores = _scorer(_fit(_linear_model(regularization), features[fitted], truth[fitted]))(features[held_out])
            right = scores[np.arange(len(held_out)), truth[held_out]]
            losses[position] -= float(weights[held_out] @ np.log(np.maximum(right, _SMALLEST_PROBABILITY)))
    return REGULARIZATIONS[int(np.argmin(losses))] if folds else DEFAULT_REGULARIZATION


def _fit(model: Pipeline, features: Floats, truth: Indices) -> Pipeline:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        return model.fit(features, truth)


def _folds(truth: Indices, patients: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    """Pairs (fitted, held out) of positions; the fitted part always holds every kind."""
    owners = np.unique(np.asarray(patients, dtype=str), return_inverse=True)[1]
    rarest = min(len(np.unique(owners[truth == kind])) for kind in np.unique(truth))
    if rarest < 2:
        return
    # Patients in an order of their own: their names may go by hospital or by kind.
    shuffled = np.random.default_rng(0).permutation(owners.max() + 1)[owners]
    with warnings.catch_warnings():
        # It warns of, and copes with, kinds of fewer items than folds.
        warnings.filterwarnings("ignore", message="The least populated class")
        for fitted, held_out in StratifiedGroupKFold(min(MOST_FOLDS, rarest)).split(truth, truth, shuffled):
            if len(np.unique(truth[fitted])) == len(np.unique(truth)):
                yield fitted, held_out
