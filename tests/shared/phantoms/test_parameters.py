"""Cut normal distributions against SciPy's, and single values replaced by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy import stats

from shared.phantoms.parameters import Spread, override


@dataclass(frozen=True)
class Kind:
    size: Spread
    share: tuple[float, float] = (0.5, 0.5)
    lobes: Mapping[int, float] = field(default_factory=lambda: {1: 1.0})


@dataclass(frozen=True)
class Everything:
    noise: float = 1.0
    kinds: Mapping[str, Kind] = field(
        default_factory=lambda: {"a": Kind(Spread(1, 1, 0, 2)), "b": Kind(Spread(2, 0, 1, 3))}
    )


@pytest.mark.parametrize("spread", [Spread(0, 1, -0.5, 2), Spread(10, 3, 10, 30)])
def test_draws_follow_the_truncated_normal_distribution(spread):
    low, high = ((limit - spread.mean) / spread.std for limit in (spread.low, spread.high))
    expected = stats.truncnorm(low, high, spread.mean, spread.std)
    rng = np.random.default_rng(1)
    single = np.array([spread.draw(rng) for _ in range(3000)])
    many = spread.draw_many(rng, 3000)
    for values in (single, many):
        assert values.min() >= spread.low
        assert values.max() <= spread.high
        assert stats.kstest(values, expected.cdf).pvalue > 0.01


def test_a_spread_without_width_and_impossible_ones():
    assert Spread(2, 0, 2, 2).draw_many(np.random.default_rng(0), 3).tolist() == [2, 2, 2]
    assert Spread(2, 1, 0, 5).draw_many(np.random.default_rng(0), 0).shape == (0,)
    for values in ((3, 1, 0, 2), (1, -1, 0, 2)):
        with pytest.raises(ValueError, match="expected low <= mean <= high and std >= 0"):
            Spread(*values)


def test_override_changes_what_is_named_and_nothing_else():
    before = Everything()
    after = override(
        before,
        {"noise": 2.0, "kinds": {"b": {"size": {"mean": 2.5}, "share": [0.1, 0.9], "lobes": {"2": 0.4, "3": 0.6}}}},
    )
    assert after.noise == 2.0
    assert after.kinds["a"] == before.kinds["a"]
    assert after.kinds["b"] == Kind(Spread(2.5, 0, 1, 3), (0.1, 0.9), {2: 0.4, 3: 0.6})
    assert before == Everything()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nois": 1}, r"parameters: no parameter is called 'nois'; choose one of \['kinds', 'noise'\]"),
        ({"kinds": {"c": {}}}, r"parameters\.kinds: no parameter is called 'c'"),
        ({"kinds": {"a": {"size": {"men": 1}}}}, r"parameters\.kinds\.a\.size: no parameter is called 'men'"),
        ({"kinds": {"a": {"size": {"mean": 9}}}}, "expected low <= mean <= high"),
    ],
)
def test_wrong_names_and_values(changes, message):
    with pytest.raises(ValueError, match=message):
        override(Everything(), changes)
