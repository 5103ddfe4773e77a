"""A finding's map over its radiograph as DICOM Secondary Capture."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from highdicom import UID
from highdicom.sc import ConversionTypeValues, SCImage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from scripts.dicom_dates import date_result
from shared import __version__
from shared.saliency.colours import blend

__all__ = ["MANUFACTURER", "overlay_instance", "overlay_pixels"]

MANUFACTURER = "monai-explainable-bundles"
#: height of a line of text, as a share of the image's width, and in pixels at least
LINE_SHARE, SMALLEST_LINE = 1 / 36, 11
LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


def overlay_pixels(
    grey: NDArray[np.floating], attribution: NDArray[np.floating], lines: list[str]
) -> NDArray[np.uint8]:
    """Return the map over the image in colour, with lines of text in a band above it.

    Args:
        grey: grey values in [0, 1], ``(H, W)``.
        attribution: signed map ``(H, W)``.
        lines: what the band says; one that is too long goes on below.

    Returns:
        ``(band + H, W, 3)``; of the image itself no pixel is written on.
    """
    colours = np.rint(255 * blend(grey, attribution, window=(0.0, 1.0))).astype(np.uint8)
    height = max(SMALLEST_LINE, round(colours.shape[1] * LINE_SHARE))
    font = ImageFont.load_default(size=height)
    step = round(1.4 * height)
    wrapped = [part for line in lines for part in _wrapped(line, font, colours.shape[1] - 2 * (step // 3))]
    band = Image.new("RGB", (colours.shape[1], step * len(wrapped) + step // 3))
    draw = ImageDraw.Draw(band)
    for number, line in enumerate(wrapped):
        draw.text((step // 3, step // 6 + number * step), line, font=font, fill="white")
    return np.concatenate([np.asarray(band), colours])


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Return a text in lines of at most a width in pixels, divided between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def overlay_instance(
    source: Dataset,
    pixels: NDArray[np.uint8],
    *,
    description: str,
    uid: UID,
    series: UID,
    series_number: int,
    number: int,
    moment: datetime,
) -> SCImage:
    """Return a Secondary Capture of the same study, derived from the source image.

    Args:
        source: header of the source image, see :mod:`scripts.dicom_identity`: patient and study are its own.
        pixels: red, green and blue, ``(H, W, 3)``.
        description: how the image was derived.
        uid: of the instance.
        series: UID of the series of overlays.
        series_number: of that series.
        number: of the instance in it.
        moment: when it was made.
    """
    image = SCImage.from_ref_dataset(
        source,
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        # the source may have no orientation: that of a result is copied below, or left open
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        series_instance_uid=series,
        series_number=series_number,
        sop_instance_uid=uid,
        instance_number=number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="chexpert_informer",
        software_versions=__version__,
        series_description="Saliency maps of chest findings",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    image.copy_patient_and_study_information(source)
    setattr(image, "PatientOrientation", source.get("PatientOrientation") or None)  # noqa: B010 - may be empty
    image.Laterality = source.get("Laterality", "")
    image.ConversionType = ConversionTypeValues.SYN.value
    image.DerivationDescription = description
    # the text above the image names nobody; what its image does not state of its own pixels is not known of these
    if said := source.get("BurnedInAnnotation"):
        image.BurnedInAnnotation = said
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    purpose = Dataset()
    code = codes.DCM.SourceImageForImageProcessingOperation
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = code.value, "DCM", code.meaning
    reference.PurposeOfReferenceCodeSequence = [purpose]
    image.SourceImageSequence = [reference]
    # what was lossy once is so in all that is derived from it (PS3.3, C.7.6.1.1.5)
    for name in LOSSY:
        if name in source:
            setattr(image, name, source[name].value)
    date_result(image, source, moment)
    return image
