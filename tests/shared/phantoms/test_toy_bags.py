import numpy as np
import pytest

from shared.phantoms import toy_bags

DATA_SETS = ["absence_bags", "frequency_bags", "proportion_bags", "size_bags"]


def sections(name, **arguments):
    data = getattr(toy_bags, name)(**arguments)
    return data.training, data.test


def obvious(bag):
    return (bag["features"][:, 1] > 4).sum()


@pytest.mark.parametrize("name", DATA_SETS)
def test_instance_labels_say_where_the_concept_instances_are(name):
    for section in sections(name, bags=30):
        features = np.concatenate([bag["features"] for bag in section])
        labels = np.concatenate([bag["instance_label"] for bag in section])
        assert features.dtype == np.float32
        np.testing.assert_allclose(features[labels == 1].mean(0), toy_bags.CONCEPT, atol=0.35)
        # five standard deviations from the concept
        assert np.abs(features[labels == 1, 0] - 3.0).max() < 2.5
        assert np.abs(features[labels == 0, 0]).max() < 2.5


@pytest.mark.parametrize("name", ["absence_bags", "frequency_bags", "size_bags"])
def test_a_bag_is_positive_if_and_only_if_it_holds_a_concept_instance(name):
    for section in sections(name):
        assert [bag["label"] for bag in section] == [0, 1] * 50
        assert all(bag["instance_label"].max() == bag["label"] for bag in section)


def test_a_bag_is_positive_if_and_only_if_more_than_half_are_concept_instances():
    for section in sections("proportion_bags"):
        assert all((bag["instance_label"].mean() > 0.5) == bag["label"] for bag in section)
        assert min(bag["instance_label"].sum() for bag in section) >= 1


def test_the_lures_agree_with_the_labels_in_training_and_contradict_them_in_the_test():
    training, test = sections("absence_bags")
    assert all(obvious(bag) == 1 - bag["label"] for bag in training)
    assert all(obvious(bag) == bag["label"] for bag in test)
    training, test = sections("size_bags")
    assert all((len(bag["features"]) > 30) == bag["label"] for bag in training)
    assert all((len(bag["features"]) < 30) == bag["label"] for bag in test)
    training, test = sections("frequency_bags")
    assert all(bag["instance_label"].mean() > 0.45 for bag in training if bag["label"])
    assert all(bag["instance_label"].mean() < 0.02 for bag in test)


def test_a_concept_instance_may_stand_anywhere_in_its_bag():
    _, test = sections("size_bags")
    places = {int(bag["instance_label"].argmax()) for bag in test if bag["label"]}
    assert len(places) > 3


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_seed_decides_and_the_two_sets_differ(name):
    first, again = sections(name, bags=4, seed=3), sections(name, bags=4, seed=3)
    other = sections(name, bags=4, seed=4)
    assert first[0][0]["features"].tolist() == again[0][0]["features"].tolist()
    assert first[0][0]["features"].tolist() != other[0][0]["features"].tolist()
    assert first[0][0]["features"].tolist() != first[1][0]["features"].tolist()


def test_refuses_fewer_bags_than_classes():
    with pytest.raises(ValueError, match="at least two bags"):
        toy_bags.size_bags(bags=1)
