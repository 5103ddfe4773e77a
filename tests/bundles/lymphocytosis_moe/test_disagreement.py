"""Sets of images, majority votes and disagreements: the paper's table 5 by hand, and random sets by definition."""

from __future__ import annotations

import numpy as np
import pytest

#: Table 5: five patients (three reactive, two tumoral), five sets each.
TRUTH = [0, 0, 0, 1, 1]
CNN = ["RTRTT", "TTTTT", "TRRRT", "TTTTT", "TTTTT"]
MOE = ["RRRRR", "RTRTR", "RRRRR", "TTTTT", "TRTTT"]


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


def probabilities(letters):
    return [[0.9 if letter == "T" else 0.2 for letter in row] for row in letters]


def test_majority_votes_of_the_papers_table(scripts):
    vote = scripts("disagreement").majority_vote
    assert vote(probabilities(CNN)).tolist() == [1, 1, 0, 1, 1]
    assert vote(probabilities(MOE)).tolist() == [0, 0, 0, 1, 1]


def test_disagreements_of_the_papers_table(scripts):
    module = scripts("disagreement")
    cnn, moe = (
        {name: entry["value"] for name, entry in module.disagreement(probabilities(m), TRUTH, resamples=50).items()}
        for m in (CNN, MOE)
    )
    # two sets of patient A and two of C differ from the vote in the CNN; two of B and one of E in the mixture
    assert cnn["sets_against_majority"] == pytest.approx(4 / 25)
    assert moe["sets_against_majority"] == pytest.approx(3 / 25)
    assert cnn["patients_with_disagreement"] == moe["patients_with_disagreement"] == pytest.approx(2 / 5)
    assert (cnn["majority_accuracy"], moe["majority_accuracy"]) == (pytest.approx(3 / 5), pytest.approx(1))
    assert cnn["set_accuracy"] == pytest.approx((2 + 0 + 3 + 5 + 5) / 25)
    assert moe["set_accuracy"] == pytest.approx((5 + 3 + 5 + 5 + 4) / 25)
    assert moe["probability_spread"] == pytest.approx(np.std(probabilities(MOE), axis=1).mean())


def test_paired_difference_is_the_difference_and_narrower_than_an_unpaired_one(scripts):
    module = scripts("disagreement")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 80)
    base = rng.uniform(0.2, 0.8, (80, 1))
    noisy, noisier = (np.clip(base + rng.normal(0, s, (80, 5)), 0, 1) for s in (0.05, 0.15))
    parts = [module.disagreement(p, labels, resamples=300)["sets_against_majority"] for p in (noisy, noisier)]
    difference = module.fewer_disagreements(noisy, noisier, labels, resamples=300)["sets_against_majority"]
    assert difference["value"] == pytest.approx(parts[0]["value"] - parts[1]["value"])
    assert difference["ci95"][1] < 0
    same = module.fewer_disagreements(noisy, noisy, labels, resamples=50)["sets_against_majority"]
    assert (same["value"], same["ci95"]) == (0, None)


def test_even_votes_are_settled_by_the_mean(scripts):
    assert scripts("disagreement").majority_vote([[0.4, 0.9], [0.1, 0.6]]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [([0.5, 0.6], [0, 1], "shape"), ([[0.5, 1.6]], [0], "beyond"), ([[0.5, 0.6]], [0, 1], "labels")],
)
def test_bad_input_is_refused(scripts, values, labels, message):
    with pytest.raises(ValueError, match=message):
        scripts("disagreement").disagreement(values, labels)


def test_smears_are_the_sets_where_there_are_enough(scripts):
    module = scripts("image_sets")
    smears = ["s3", "s1", "s1", "s2", "s3", "s3"]
    record = {"image": [f"{i}.jpg" for i in range(6)], "smear": smears}
    sets = module.image_sets(record, 3, np.random.default_rng(0))
    assert sets.origin == module.SMEARS
    assert sets.names == ["s1", "s2", "s3"]
    assert [members.tolist() for members in sets.members] == [[1, 2], [3], [0, 4, 5]]
    # too few smears: the images are dealt out, and the result says so
    assert module.image_sets(record, 4, np.random.default_rng(0)).origin == module.RANDOM_SUBSETS


def test_random_sets_are_disjoint_complete_even_and_seeded(scripts):
    module = scripts("image_sets")
    record = {"image": ["x"] * 83}
    sets, again, other = (module.image_sets(record, 5, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert sorted(np.concatenate(sets.members)) == list(range(83))
    assert sorted(map(len, sets.members)) == [16, 16, 17, 17, 17]
    assert all(np.array_equal(a, b) for a, b in zip(sets.members, again.members, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(sets.members, other.members, strict=False))
    assert module.image_sets({"image": ["x"] * 4}, 5, np.random.default_rng(0)) is None
