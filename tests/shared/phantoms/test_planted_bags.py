import numpy as np
import pytest

from shared.phantoms.planted_bags import PlantedBags


def test_planted_bags_are_what_they_say():
    planted = PlantedBags(features=32, instances=400, evidence=(1, 5), distance=20.0, hard=8, seed=3)
    drawn = planted.draw(40, seed=0)
    counts = drawn.truth.sum(axis=1)
    assert not counts[drawn.labels == 0].any()
    assert set(counts[drawn.labels == 1]) == {1, 2, 3, 4, 5}
    along = planted.projection(drawn.features)
    assert along[drawn.truth].mean() - along[~drawn.truth].mean() == pytest.approx(20.0, abs=1.5)
    # hard negatives stand out as far, in bags of both labels alike
    distance = np.linalg.norm(drawn.features - drawn.features.mean(axis=1, keepdims=True), axis=2)
    far = (distance > 14) & ~drawn.truth
    assert far[drawn.labels == 0].sum(axis=1).mean() == pytest.approx(8, abs=2)
    assert far[drawn.labels == 1].sum(axis=1).mean() == pytest.approx(8, abs=2)
    assert distance[drawn.truth].min() > 14
    again, other = planted.draw(4, seed=0), planted.draw(4, seed=1)
    np.testing.assert_array_equal(again.features, drawn.features[:4])
    assert not np.array_equal(other.features, again.features)
    with pytest.raises(ValueError, match="3 to 2 of 400"):
        PlantedBags(instances=400, evidence=(3, 2)).draw(2, seed=0)
