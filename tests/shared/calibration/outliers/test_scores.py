import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from shared.calibration.outliers.logit_scores import Energy, MaximumSoftmax, MutualInformation, PredictiveEntropy
from shared.calibration.outliers.mahalanobis import Mahalanobis
from shared.calibration.outliers.nearest_neighbour import NearestNeighbour
from shared.calibration.outliers.vim import ViM
from shared.calibration.sample_summary import summarise
from tests.oracles import outlier_scores as oracle


@pytest.fixture
def data():
    """Three classes in 12 correlated dimensions of unequal units, and images elsewhere."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(12, 12)) * np.geomspace(0.01, 100, 12)
    labels = np.arange(150) % 3
    training = (rng.normal(size=(150, 12)) + 3 * rng.normal(size=(3, 12))[labels]) @ mixing
    values = 2 * rng.normal(size=(20, 12)) @ mixing
    return training, labels, values


def fitted(score, training, labels):
    return score.fit({"embedding": training}, labels)


def test_mahalanobis_equals_inverse_of_the_covariance(data):
    training, labels, values = data
    score = fitted(Mahalanobis(trim=0), training, labels)
    expected = oracle.mahalanobis(training, labels, values)
    np.testing.assert_allclose(score.score({"embedding": values}), expected, rtol=1e-4)


def test_mahalanobis_with_fewer_images_than_features(data):
    training, labels, values = data
    few, names = training[:9], labels[:9]
    score = fitted(Mahalanobis(trim=0), few, names)
    assert len(score.directions) < 12
    np.testing.assert_allclose(score.score({"embedding": values}), oracle.mahalanobis(few, names, values), rtol=1e-4)


def test_mahalanobis_with_one_mean(data):
    training, labels, values = data
    score = fitted(Mahalanobis(class_conditional=False, trim=0), training, labels)
    expected = oracle.mahalanobis(training, np.zeros(150, dtype=int), values)
    np.testing.assert_allclose(score.score({"embedding": values}), expected, rtol=1e-4)


def test_mahalanobis_trims_the_images_that_lie_farthest(data):
    training, labels, values = data
    spoilt = training.copy()
    spoilt[:6] += 1000 * np.abs(training).max(axis=0)
    trimmed = fitted(Mahalanobis(trim=0.04), spoilt, labels).score({"embedding": values})
    clean = fitted(Mahalanobis(trim=0), training[6:], labels[6:]).score({"embedding": values})
    np.testing.assert_allclose(trimmed, clean, rtol=1e-6)


def test_mahalanobis_in_a_direction_without_variance():
    training = np.random.default_rng(0).normal(size=(50, 3))
    training[:, 2] = 7.0
    score = fitted(Mahalanobis(), training, np.zeros(50, dtype=int))
    inlier, outlier, far = score.score({"embedding": [[0, 0, 7.0], [0, 0, 8.0], [0, 0, 17.0]]})
    assert inlier < 1 < outlier < np.inf
    assert far - inlier == pytest.approx(100 * (outlier - inlier), rel=1e-6)


def test_nearest_neighbour_equals_sorted_distances(data):
    training, labels, values = data
    score = fitted(NearestNeighbour(neighbours=4), training, labels)
    expected = oracle.nearest_neighbour(training, values, 4)
    np.testing.assert_allclose(score.score({"embedding": values}), expected, rtol=1e-5)


def test_neighbours_are_indexed_once_for_all_batches(data, monkeypatch):
    training, labels, values = data
    score = fitted(NearestNeighbour(neighbours=4), training, labels)
    fits = []
    build = NearestNeighbors.fit
    monkeypatch.setattr(NearestNeighbors, "fit", lambda self, bank: fits.append(len(bank)) or build(self, bank))
    whole = score.score({"embedding": values})
    parts = [score.score({"embedding": part}) for part in np.array_split(values, 3)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-12)
    assert fits == [len(training)]
    score.fit({"embedding": training[:50]}, labels[:50]).score({"embedding": values})
    assert fits == [len(training), 50], "after another fit the index is built anew"


def test_nearest_neighbour_keeps_a_seeded_choice(data):
    training, labels, _ = data
    first, second, other = (fitted(NearestNeighbour(3, maximum=40, seed=seed), training, labels) for seed in (1, 1, 2))
    assert len(first.bank) == 40
    np.testing.assert_array_equal(first.bank, second.bank)
    assert not np.array_equal(first.bank, other.bank)
    with pytest.raises(ValueError, match="10 neighbours"):
        fitted(NearestNeighbour(), training[:9], labels[:9])


def test_vim_orders_as_the_virtual_probability(data):
    rng = np.random.default_rng(1)
    training, values = data[0] / np.abs(data[0]).max(axis=0), data[2] / np.abs(data[0]).max(axis=0)
    weight, bias = rng.normal(size=(3, 12)), rng.normal(size=3)
    score = fitted(ViM(weight, bias, dimensions=5), training, data[1]).score({"embedding": values})
    probability = oracle.vim(training, weight, bias, 5, values)
    np.testing.assert_allclose(1 / (1 + np.exp(-score)), probability, rtol=1e-5)


def test_vim_dimensions(data):
    training, labels, _ = data
    weight, bias = np.eye(3, 12), np.zeros(3)
    assert len(fitted(ViM(weight, bias), training, labels).principal) == 6
    assert len(fitted(ViM(weight, bias), training[:8], labels[:8]).principal) == 4
    with pytest.raises(ValueError, match="leave no residual"):
        fitted(ViM(weight, bias, dimensions=12), training, labels)
    with pytest.raises(ValueError, match="expected weight"):
        ViM(np.eye(3, 12), np.zeros(4))


def test_logit_scores_equal_their_definitions():
    logits = np.random.default_rng(2).normal(size=(6, 5, 4)) * 2
    features = {"logits": logits}
    np.testing.assert_allclose(Energy(1.5).score(features), oracle.energy(logits, 1.5))
    np.testing.assert_allclose(Energy().score({"logits": logits[:, 0]}), oracle.energy(logits[:, :1], 1.0))
    summary = summarise(logits, 1.5)
    np.testing.assert_array_equal(MaximumSoftmax(1.5).score(features), -summary.mean.max(axis=1))
    np.testing.assert_array_equal(PredictiveEntropy(1.5).score(features), summary.predictive_entropy)
    np.testing.assert_array_equal(MutualInformation(1.5).score(features), summary.mutual_information)


@pytest.mark.parametrize(
    ("score", "certain", "uncertain"),
    [
        (MaximumSoftmax(), [[9.0, 0, 0]], [[1.0, 0, 0]]),
        (PredictiveEntropy(), [[9.0, 0, 0]], [[1.0, 0, 0]]),
        (Energy(), [[9.0, 0, 0]], [[1.0, 0, 0]]),
        (MutualInformation(), [[9.0, 0, 0], [9.0, 0, 0]], [[9.0, 0, 0], [0, 9.0, 0]]),
    ],
)
def test_larger_is_more_outlying(score, certain, uncertain):
    low, high = score.score({"logits": [certain, uncertain]})
    assert low < high


def test_refuses():
    score = Mahalanobis()
    with pytest.raises(RuntimeError, match="not fitted"):
        score.score({"embedding": np.zeros((2, 3))})
    with pytest.raises(KeyError, match="needs the features 'embedding'"):
        score.fit({"logits": np.zeros((2, 3))}, [0, 1])
    with pytest.raises(ValueError, match="first in row 1"):
        score.fit({"embedding": [[0.0, 1.0], [np.nan, 0.0]]}, [0, 1])
    with pytest.raises(ValueError, match="one label for each"):
        score.fit({"embedding": np.zeros((3, 2))}, [0, 1])
    score.fit({"embedding": np.eye(3)}, [0, 0, 0])
    with pytest.raises(ValueError, match=r"shape \(N, 3\)"):
        score.score({"embedding": np.zeros((2, 4))})
    with pytest.raises(ValueError, match="trim"):
        Mahalanobis(trim=0.5)
    with pytest.raises(ValueError, match="temperature"):
        Energy(0)
    with pytest.raises(KeyError, match="'logits'"):
        Energy().score({})
