import numpy as np
import pytest

from shared.calibration.outlier_metrics import outlier_metrics


def slow(inliers, outliers):
    pairs = [(o > i) + 0.5 * (o == i) for o in outliers for i in inliers]
    low_enough = [t for t in {*inliers, *outliers} if np.mean([o >= t for o in outliers]) >= 0.95]
    rates = [np.mean([i >= threshold for i in inliers]) for threshold in low_enough]
    return {"auroc": np.mean(pairs), "fpr95": min(rates)}


@pytest.mark.parametrize("seed", range(5))
def test_equals_definitions(seed):
    rng = np.random.default_rng(seed)
    inliers, outliers = rng.integers(0, 12, 40), rng.integers(4, 16, 33)
    assert outlier_metrics(inliers, outliers) == pytest.approx(slow(inliers, outliers))


def test_extremes():
    assert outlier_metrics([0, 1], [2, 3]) == {"auroc": 1.0, "fpr95": 0.0}
    assert outlier_metrics([2, 3], [0, 1]) == {"auroc": 0.0, "fpr95": 1.0}
    assert outlier_metrics([1, 1], [1]) == {"auroc": 0.5, "fpr95": 1.0}
    with pytest.raises(ValueError, match="0 outliers"):
        outlier_metrics([1.0], [])
    with pytest.raises(ValueError, match="NaN"):
        outlier_metrics([1.0, np.nan], [1.0])
