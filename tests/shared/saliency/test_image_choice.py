"""Which images are shown, measured and described: outliers, wrong and watched ones among those of known class."""

from __future__ import annotations

import pytest

from shared.saliency.image_choice import ChosenImages, ImageChoice

CLASSES = 3


@pytest.fixture
def records():
    """30 images of known class and 4 outliers of two kinds; the first was watched."""
    labelled = [{"id": str(index), "label": index % CLASSES} for index in range(30)]
    outliers = [{"id": str(30 + index), "kind": ("empty", "blurred")[index % 2]} for index in range(4)]
    labelled[0]["watched"] = True
    return labelled + outliers


@pytest.fixture
def predicted():
    """Of images 1 to 5 the wrong class."""
    return [(index + (1 <= index <= 5)) % CLASSES for index in range(34)]


def test_watched_images_first_then_each_class_wrong_ones_and_each_kind(records, predicted):
    chosen = ImageChoice(2, 3, 1, 100)(records, predicted, [True] * 34, describe=True)
    assert chosen.shown[0] == 0
    groups = [index % CLASSES for index in chosen.shown[1:7]]
    assert groups == [0, 0, 1, 1, 2, 2]
    assert all(6 <= index < 30 for index in chosen.shown[1:7])
    assert len(chosen.shown[7:10]) == 3
    assert set(chosen.shown[7:10]) <= set(range(1, 6))
    assert [records[index]["kind"] for index in chosen.shown[10:]] == ["blurred", "empty"]
    assert chosen.measured == chosen.described == list(range(6, 30))


def test_what_is_not_measurable_is_not_measured_and_described_only_if_nothing_is(records, predicted):
    choice = ImageChoice(measured_samples=100)
    odd = choice(records, predicted, [index % 2 == 1 for index in range(34)], describe=True)
    assert odd.measured == odd.described == list(range(7, 30, 2))
    nothing = choice(records, predicted, [False] * 34, describe=True)
    assert (nothing.measured, nothing.described) == ([], list(range(6, 30)))
    assert choice(records, predicted, [True] * 34, describe=False).described == []
    unlabelled = [{key: value for key, value in record.items() if key != "label"} for record in records]
    assert choice(unlabelled, predicted, [False] * 34, describe=True).described == list(range(1, 30))


def test_the_draw_is_seeded_and_as_large_as_wanted(records, predicted):
    def choose(seed):
        return ImageChoice(1, 1, 0, 6, seed)(records, predicted, [True] * 34, describe=False)

    assert choose(0) == choose(0)
    assert choose(0).shown != choose(1).shown
    assert len(choose(0).shown) == 1 + CLASSES + 1
    assert [sum(index % CLASSES == label for index in choose(0).measured) for label in range(CLASSES)] == [2, 2, 2]


def test_places_are_those_among_all_that_are_chosen():
    chosen = ChosenImages(shown=[9, 2], measured=[2, 5], described=[2, 7])
    assert chosen.samples == [2, 5, 7, 9]
    assert chosen.places(chosen.shown) == [3, 0]
    assert [chosen.samples[place] for place in chosen.places([7, 5])] == [7, 5]
