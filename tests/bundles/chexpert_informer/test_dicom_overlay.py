"""The picture of a map as DICOM: the image below a band of text, for in red and against in blue."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bundles.chexpert_informer.conftest import draw_image

pytest.importorskip("highdicom", reason="DICOM output needs highdicom: pip install 'monai-explainable-bundles[dicom]'")


@pytest.fixture
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


def test_overlay_keeps_the_image_below_a_band_of_text(scripts):
    grey = draw_image(1, (60, 80)).astype(np.float32) / 255
    overlay_pixels = scripts("dicom_overlay").overlay_pixels
    plain = overlay_pixels(grey, np.zeros_like(grey), ["edema: present", "a line " * 12])
    assert plain.shape[1:] == (80, 3)
    band = plain.shape[0] - 60
    np.testing.assert_array_equal(plain[band:], np.rint(255 * grey).astype(np.uint8)[..., None].repeat(3, axis=2))
    assert plain[:band].max() == 255
    assert overlay_pixels(grey, np.zeros_like(grey), ["edema: present"]).shape[0] < plain.shape[0] - 11 * 3
    attribution = np.zeros_like(grey)
    attribution[10:20, 10:20], attribution[40:50, 60:70] = 1, -1
    coloured = overlay_pixels(grey, attribution, ["edema: present", "a line " * 12])[band:].astype(int)
    assert (coloured[10:20, 10:20, 0] > coloured[10:20, 10:20, 2]).all(), "for: red"
    assert (coloured[40:50, 60:70, 2] > coloured[40:50, 60:70, 0]).all(), "against: blue"
    np.testing.assert_array_equal(coloured[:10], plain[band:][:10])
