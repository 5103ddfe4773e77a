"""Whole repeats are told from others, and parts are joined in the order of the samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shared.study.repeats import join_parts, whole_repeats


class Part(NamedTuple):
    repeat: int
    fold: int

    @property
    def key(self):
        return f"{self.repeat}_{self.fold}"


def test_a_repeat_without_all_its_parts_is_not_whole():
    runs = [Part(repeat, fold) for fold in range(3) for repeat in (2, 0, 1)]
    done = set(runs) - {Part(0, 1), *(Part(1, fold) for fold in range(3))}
    whole, lacking = whole_repeats(runs, done, lambda run: run.repeat)
    assert whole == {2: [Part(2, 0), Part(2, 1), Part(2, 2)]}
    assert lacking == {0: (2, 3), 1: (0, 3)}
    assert list(lacking) == [0, 1]


def test_each_sample_keeps_what_its_part_says_of_it():
    rng = np.random.default_rng(0)
    indices = np.split(rng.permutation(20), [6, 13])
    parts = [{"tens": 10 * index, "row": np.stack([index, -index], axis=1)} for index in indices]
    index, joined = join_parts(indices, parts)
    np.testing.assert_array_equal(index, np.arange(20))
    np.testing.assert_array_equal(joined["tens"], 10 * np.arange(20))
    np.testing.assert_array_equal(joined["row"][:, 1], -np.arange(20))
