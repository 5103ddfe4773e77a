"""Which images of an archive are frontal chest X-rays, by what their headers say."""

from __future__ import annotations

import pydicom
import pytest

from tests.bundles.chexpert_informer.archive_films import film


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({}, None),
        ({"BodyPartExamined": ""}, "does not say which part of the body"),
        ({"BodyPartExamined": "CHEST "}, None),
        ({"ViewPosition": ""}, "does not say whether it is frontal"),
        ({"NumberOfFrames": 7}, "holds 7 frames, expected one"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "is raw data for processing"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}, "is raw data for processing"),
    ],
)
def test_which_images_are_frontal_chest_x_rays(scripts, elements, reason):
    selection = scripts("dicom_selection").ChestSelection()
    found = selection.refusal(film("frontal", **elements))
    assert found is None if reason is None else reason in found
    loose = scripts("dicom_selection").ChestSelection(unstated_body_part="keep", unknown_view="keep")
    if reason and reason.startswith("does not say"):
        assert loose.refusal(film("frontal", **elements)) is None


def test_a_region_that_is_coded(scripts):
    selection = scripts("dicom_selection").ChestSelection()
    for code, refused in (("51185008", False), ("816094009", False), ("T-D3000", False), ("85562004", True)):
        item = pydicom.Dataset()
        item.CodeValue = code
        content = film("frontal", BodyPartExamined="", AnatomicRegionSequence=[item])
        assert (selection.refusal(content) is not None) == refused
