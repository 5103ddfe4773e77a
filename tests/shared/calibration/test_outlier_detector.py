import logging

import numpy as np
import pytest
from torch import nn

from shared.calibration.outlier_detector import OutlierDetector
from shared.calibration.outliers.all_scores import ScoreSettings, default_scores
from shared.data.errors import DataError


def draw(n, seed, shift=0.0):
    """Features of n images; a shift moves those of the image only."""
    rng = np.random.default_rng(seed)
    return {
        "logits": rng.normal(size=(n, 5, 3)),
        "embedding": rng.normal(size=(n, 6)),
        "feature_statistics": rng.normal(size=(n, 8)),
        "image_statistics": rng.normal(size=(n, 4)) + shift,
    }


@pytest.fixture
def detector():
    training = draw(400, 0)
    last_layer = nn.Linear(6, 3)
    members = ["mahalanobis_features", "mahalanobis_image"]
    return OutlierDetector.fit(training, np.arange(400) % 3, 1.3, last_layer, members)


def test_keeps_the_share_asked_for_and_catches_what_one_member_sees(detector):
    calibrated = detector.calibrated(draw(1000, 1), keep=0.95)
    new, far = draw(4000, 2), draw(200, 3, shift=4.0)
    kept = calibrated.combine(calibrated.member_scores(new)) <= calibrated.threshold
    assert kept.mean() == pytest.approx(0.95, abs=0.02)
    caught = calibrated.combine(calibrated.member_scores(far)) > calibrated.threshold
    assert caught.mean() > 0.99


def test_threshold_is_the_conformal_order_statistic(detector):
    validation = draw(99, 1)
    calibrated = detector.calibrated(validation, keep=0.9)
    combined = np.sort(calibrated.combine(calibrated.member_scores(validation)))
    assert calibrated.threshold == combined[89]


def test_combined_is_the_largest_surprise_of_the_members(detector):
    calibrated = detector.calibrated(draw(300, 1))
    scores = calibrated.member_scores(draw(7, 2))
    surprises = [calibrated.tails[name].surprise(scores[name]) for name in calibrated.members]
    np.testing.assert_array_equal(calibrated.combine(scores), np.max(surprises, axis=0))
    assert calibrated.members == ("mahalanobis_features", "mahalanobis_image")


def test_keeps_jointly_with_another_rule(detector):
    validation = draw(1000, 1)
    others = np.arange(1000) >= 20
    calibrated = detector.calibrated(validation, keep=0.95, also_kept=others)
    passed = calibrated.combine(calibrated.member_scores(validation)) <= calibrated.threshold
    assert (passed & others).mean() == pytest.approx(0.95, abs=0.002)


def test_warns_when_the_other_rule_takes_too_many(detector, caplog):
    others = np.arange(1000) >= 100
    with caplog.at_level(logging.WARNING):
        calibrated = detector.calibrated(draw(1000, 1), keep=0.95, also_kept=others)
    assert "the other rule alone rejects 10.0%" in caplog.text
    passed = calibrated.combine(calibrated.member_scores(draw(1000, 1))) <= calibrated.threshold
    assert passed[others].mean() == pytest.approx(0.975, abs=0.002)


def test_scores_depend_on_the_image_alone(detector):
    calibrated = detector.calibrated(draw(300, 1))
    new = draw(9, 2)
    together = calibrated.member_scores(new)
    alone = calibrated.member_scores({name: value[4:5] for name, value in new.items()})
    for name, values in together.items():
        np.testing.assert_allclose(alone[name][0], values[4], rtol=1e-10)


def test_save_and_load(detector, tmp_path):
    calibrated = detector.calibrated(draw(300, 1))
    digest = calibrated.save(tmp_path / "outlier.npz")
    loaded = OutlierDetector.load(tmp_path / "outlier.npz", digest)
    assert loaded.threshold == calibrated.threshold
    assert loaded.members == calibrated.members
    new = draw(20, 2)
    expected, found = calibrated.member_scores(new), loaded.member_scores(new)
    assert list(found) == list(expected)
    assert len(found) == 9
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])
    np.testing.assert_array_equal(loaded.combine(found), calibrated.combine(expected))
    assert loaded.save(tmp_path / "again.npz") == digest


def test_refuses_a_changed_file(detector, tmp_path):
    path = tmp_path / "outlier.npz"
    digest = detector.calibrated(draw(300, 1)).save(path)
    with np.load(path) as content:
        arrays = dict(content)
    np.savez(path, **{**arrays, "threshold": np.array(1e9)})
    with pytest.raises(DataError, match="SHA-256"):
        OutlierDetector.load(path, digest)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path, arrays: path.write_bytes(path.read_bytes()[:1000]),
        lambda path, arrays: path.write_text("no archive"),
        lambda path, arrays: path.write_bytes(b""),
        lambda path, arrays: np.savez(path, **{**arrays, "format": np.array(99)}),
        lambda path, arrays: np.savez(path, **{**arrays, "types": np.array(["Unknown"] * 9)}),
        lambda path, arrays: np.savez(path, **{**arrays, "threshold": np.array(np.nan)}),
        lambda path, arrays: np.savez(path, **{k: v for k, v in arrays.items() if k != "score/vim/alpha"}),
        lambda path, arrays: np.savez(path, **{**arrays, "threshold": np.array([{"code": 1}], dtype=object)}),
        lambda path, arrays: np.save(path.open("wb"), np.zeros(3)),
    ],
)
def test_refuses_a_damaged_file(detector, tmp_path, damage):
    path = tmp_path / "outlier.npz"
    detector.calibrated(draw(300, 1)).save(path)
    with np.load(path) as content:
        arrays = dict(content)
    damage(path, arrays)
    with pytest.raises(DataError, match=r"outlier\.npz"):
        OutlierDetector.load(path)


def test_refuses(detector, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        OutlierDetector.load(tmp_path / "missing.npz")
    with pytest.raises(RuntimeError, match="not calibrated"):
        detector.save(tmp_path / "outlier.npz")
    with pytest.raises(RuntimeError, match="not calibrated"):
        detector.combine(detector.member_scores(draw(3, 1)))
    with pytest.raises(ValueError, match="keep"):
        detector.calibrated(draw(100, 1), keep=1.0)
    with pytest.raises(ValueError, match="also_kept"):
        detector.calibrated(draw(100, 1), also_kept=np.ones(99, dtype=bool))
    with pytest.raises(ValueError, match="must be some of the scores"):
        OutlierDetector.fit(draw(50, 0), np.arange(50) % 2, members=["vim"])
    with pytest.raises(KeyError, match="image_statistics"):
        detector.member_scores({name: value for name, value in draw(3, 1).items() if name != "image_statistics"})


def test_the_score_that_depends_least_on_the_network_decides():
    features, labels = draw(100, 0), np.arange(100) % 3
    assert OutlierDetector.fit(features, labels).members == ("mahalanobis_image",)
    del features["image_statistics"]
    assert OutlierDetector.fit(features, labels).members == ("mahalanobis_features",)
    del features["feature_statistics"]
    assert OutlierDetector.fit(features, labels).members == ("mahalanobis",)
    assert "vim" not in default_scores(list(features))


def test_settings_reach_the_scores():
    settings = ScoreSettings(trim=0.2, neighbours=3, bank_size=40, principal_dimensions=2, tail_share=0.3, seed=5)
    scores = OutlierDetector.fit(draw(100, 0), np.arange(100) % 3, 1.3, nn.Linear(6, 3), settings=settings).scores
    for name in ("mahalanobis", "mahalanobis_features", "mahalanobis_image"):
        assert scores[name].trim == 0.2
    assert (scores["nearest_neighbour"].neighbours, scores["nearest_neighbour"].seed) == (3, 5)
    assert scores["nearest_neighbour"].bank.shape == (40, 6)
    assert scores["vim"].principal.shape == (2, 6)
    for impossible in (ScoreSettings(trim=0.5), ScoreSettings(neighbours=0), ScoreSettings(neighbours=9, bank_size=8)):
        with pytest.raises(ValueError, match="must lie"):
            default_scores(["embedding"], settings=impossible)


def test_a_wider_tail_is_fitted_to_more_scores(detector):
    validation, far = draw(500, 1), draw(5, 2, shift=9.0)
    narrow, wide = (detector.calibrated(validation, tail_share=share) for share in (0.1, 0.4))
    scores = detector.member_scores(far)
    for name in detector.members:
        knots = detector.scores[name].score(validation)
        assert wide.tails[name].knots[-1] == pytest.approx(np.quantile(knots, 0.6))
        assert narrow.tails[name].knots[-1] == pytest.approx(np.quantile(knots, 0.9))
    assert (narrow.combine(scores) != wide.combine(scores)).all()


def test_only_the_scores_that_are_asked_for_are_computed(detector):
    images = draw(20, 1)
    some = detector.member_scores({"image_statistics": images["image_statistics"]}, ["mahalanobis_image"])
    assert list(some) == ["mahalanobis_image"]
    np.testing.assert_array_equal(some["mahalanobis_image"], detector.member_scores(images)["mahalanobis_image"])
