"""Films of an archive: a frontal and a lateral one of a chest, of a hand, and one that names nobody."""

from __future__ import annotations

import numpy as np

from tests.bundles.chexpert_informer.conftest import build_dicom, draw_image

#: SOPInstanceUIDs by what they show
FILMS = {"frontal": "1.2.826.0.1.1", "lateral": "1.2.826.0.1.2", "hand": "1.2.826.0.2.1", "nobody": "1.2.826.0.3.1"}
STUDIES = {"frontal": "1.2.826.1", "lateral": "1.2.826.1", "hand": "1.2.826.2", "nobody": "1.2.826.3"}
NAME = "Müller^Jörg"


def film(kind, **elements):
    said = {
        "PatientName": NAME,
        "PatientBirthDate": "19600102",
        "StudyDate": "20200304",
        "StudyTime": "101112",
        "AccessionNumber": "ACC7",
        "SpecificCharacterSet": "ISO_IR 100",
        "StudyInstanceUID": STUDIES[kind],
        "SeriesInstanceUID": f"{FILMS[kind]}.9",
        "SOPInstanceUID": FILMS[kind],
        "BodyPartExamined": "HAND" if kind == "hand" else "CHEST",
        "ViewPosition": "LL" if kind == "lateral" else "PA",
        "PatientOrientation": ["L", "F"],
    }
    if kind == "nobody":
        said |= {"PatientName": "", "AccessionNumber": "", "PatientBirthDate": ""}
    pixels = np.rint(draw_image(list(FILMS).index(kind)).astype(float) * 16).astype(np.uint16)
    content = build_dicom(pixels, patient="" if kind == "nobody" else "P1", **said | elements)
    content.file_meta.MediaStorageSOPInstanceUID = content.SOPInstanceUID
    content.preamble = bytes(128)
    return content
