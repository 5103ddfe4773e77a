"""What uncertain labels become, which images are left out, against the rules written out for every combination."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from shared.data.errors import DataError

NAN = float("nan")


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture(scope="module")
def select(scripts):
    module = scripts("image_selection")
    image = scripts("source_image").SourceImage

    def build(rows, patients=None, **settings):
        images = [
            image(f"i{n}", patients[n] if patients else f"p{n}", Path(f"{n}.jpg"), codes, frontal=True)
            for n, codes in enumerate(rows)
        ]
        return module.ImageSelection(**settings).labels(images)

    return build


ALL = list(product((1.0, 0.0, -1.0, NAN), repeat=5))


@pytest.mark.parametrize("uncertain", ["exclude", "mask", "zeros", "ones", "mix"])
def test_every_combination_of_codes(select, uncertain):
    labels, excluded = select(ALL, uncertain=uncertain)
    instead = {"mask": [None] * 5, "zeros": [0] * 5, "ones": [1] * 5, "mix": [1, 0, 0, 1, 0]}
    for codes, label in zip(ALL, labels, strict=True):
        if uncertain == "exclude" and -1 in codes:
            assert label is None
        else:
            # blank is negative
            assert label == [instead[uncertain][k] if c == -1 else int(c == 1) for k, c in enumerate(codes)]
    assert len(excluded) == (sum(-1 in codes for codes in ALL) if uncertain == "exclude" else 0)
    if excluded:
        assert excluded[0].reason == "uncertain pleural_effusion (uncertain: exclude)"


def test_another_mix(select):
    labels, _ = select([(-1.0,) * 5], uncertain="mix", ones=["cardiomegaly"])
    assert labels == [[0, 1, 0, 0, 0]]


def test_patients_and_images_without_a_finding(select):
    rows = [(1.0, 0.0, 0.0, 0.0, 0.0), (NAN,) * 5, (0.0,) * 5, (-1.0, NAN, NAN, NAN, NAN)]
    patients = ["a", "a", "b", "c"]
    kept = {
        name: select(rows, patients, without_finding=name)[0] for name in ("keep", "exclude_patients", "exclude_images")
    }
    assert [label is not None for label in kept["keep"]] == [True] * 4
    assert [label is not None for label in kept["exclude_patients"]] == [True, True, False, False]
    assert [label is not None for label in kept["exclude_images"]] == [True, False, False, False]
    ones = select(rows, patients, without_finding="exclude_images", uncertain="ones")[0]
    assert [label is not None for label in ones] == [True, False, False, True]
    _, excluded = select(rows, patients, without_finding="exclude_patients")
    assert [(item.item, item.reason) for item in excluded] == [
        ("i2", "patient without any of the findings (without_finding: exclude_patients)"),
        ("i3", "patient without any of the findings (without_finding: exclude_patients)"),
    ]


def test_views(scripts):
    module, image = scripts("image_selection"), scripts("source_image").SourceImage
    images = [image(str(n), "p", Path("x"), None, frontal=frontal) for n, frontal in enumerate((True, False, None))]
    kept, excluded = module.ImageSelection().views(images)
    assert [one.identity for one in kept] == ["0"]
    assert ["lateral view" in item.reason for item in excluded] == [True, False]
    kept, excluded = module.ImageSelection(unknown_view="keep").views(images)
    assert [one.identity for one in kept] == ["0", "2"]
    assert len(excluded) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"uncertain": "maybe"}, "uncertain is 'maybe', expected one of exclude, mask"),
        ({"without_finding": True}, "without_finding is 'True', expected one of keep"),
        ({"unknown_view": "frontal"}, "unknown_view is 'frontal'"),
        ({"ones": ["oedema"]}, "no finding is called 'oedema'"),
    ],
)
def test_wrong_choices(scripts, settings, message):
    with pytest.raises(DataError, match=message):
        scripts("image_selection").ImageSelection(**settings)


def test_codes_of_a_table(scripts):
    import pandas as pd

    module = scripts("source_image")
    table = pd.DataFrame({"a": ["1.0", "", "0"], "b": ["-1", "-1.0", "nan"], "c": ["2", "1", "yes"]})
    columns = dict(zip(scripts("findings").FINDINGS, "aabbc", strict=True))
    codes, faults = module.finding_codes(table, columns)
    np.testing.assert_array_equal(codes[1], [NAN, NAN, -1, -1, 1])
    assert set(faults) == {0, 2}
    assert faults[2] == "c is 'yes', expected 1, 0, -1 (uncertain) or nothing"
