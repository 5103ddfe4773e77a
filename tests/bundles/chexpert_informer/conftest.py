"""Small data sets in every source layout: noise images, every one different, with labels that follow from numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.bundles.chexpert_informer.collected_findings import CLASSES, Collector, collected

FINDINGS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")
COLUMNS = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")


def draw_image(seed: int, shape: tuple[int, int] = (40, 48)) -> np.ndarray:
    """Smooth noise, ``shape`` uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC))


def labels_of(number: int) -> list[int]:
    """Five labels: the binary digits of a number from 0 to 31."""
    return [(number >> bit) & 1 for bit in range(5)]


@pytest.fixture
def write_chexpert() -> Callable[..., dict[str, pd.DataFrame]]:
    """Write CheXpert's layout with two studies of patient 1; returns the tables.

    Patient i has the labels of number i. Every third patient has a lateral view too.
    """

    def write(
        folder: Path,
        patients: dict[str, int] | None = None,
        prefix: str = "CheXpert-v1.0-small/",
        suffix: str = "jpg",
    ) -> dict[str, pd.DataFrame]:
        tables, number = {}, 0
        for table, count in (patients or {"train": 32, "valid": 16}).items():
            rows = []
            for _ in range(count):
                number += 1
                for study in (1, 2) if number == 1 else (1,):
                    for view in ("frontal", "lateral") if number % 3 == 0 else ("frontal",):
                        place = f"{table}/patient{number:05d}/study{study}/view1_{view}.{suffix}"
                        (folder / place).parent.mkdir(parents=True, exist_ok=True)
                        image = draw_image(10 * number + study + 100_000 * (view == "lateral"))
                        Image.fromarray(image).save(folder / place, **({"quality": 95} if suffix == "jpg" else {}))
                        rows.append(
                            {
                                "Path": prefix + place,
                                "Sex": ("Male", "Female")[number % 2],
                                "Age": 20 + number,
                                "Frontal/Lateral": view.title(),
                                "AP/PA": ("AP", "PA")[number % 2] if view == "frontal" else "",
                                "No Finding": "",
                                **{
                                    c: float(v) if v else ""
                                    for c, v in zip(COLUMNS, labels_of(number % 32), strict=True)
                                },
                                "Support Devices": 1.0,
                            }
                        )
            tables[table] = pd.DataFrame(rows).astype(object)
            tables[table].to_csv(folder / f"{table}.csv", index=False)
        return tables

    return write


@pytest.fixture
def write_nih() -> Callable[..., pd.DataFrame]:
    """Write the layout of a table beside ``images/``, or the archive's; returns the table."""

    def write(folder: Path, patients: int = 40, archive: bool = False) -> pd.DataFrame:
        rows = []
        for number in range(patients):
            name = f"{number:08d}_000.png"
            place = folder / (f"images_{1 + number % 2:03d}/images" if archive else "images")
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw_image(number)).save(place / name)
            labels = labels_of(number % 32)
            if archive:
                titles = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion")
                named = [title for title, value in zip(titles, labels, strict=True) if value]
                rows.append(
                    {
                        "Image Index": name,
                        "Finding Labels": "|".join(named) or ("No Finding" if number % 2 else "Emphysema|Hernia"),
                        "Follow-up #": 0,
                        "Patient ID": number // 2,
                        "Patient Age": 30 + number,
                        "Patient Gender": "MF"[number % 2],
                        "View Position": ("PA", "AP")[number % 2],
                    }
                )
            else:
                rows.append(
                    {
                        "image": name,
                        "patient": number // 2,
                        "age": 30 + number,
                        "sex": "MF"[number % 2],
                        "view": ("PA", "AP")[number % 2],
                        "finding_labels": "whatever",
                        **dict(zip(FINDINGS, labels, strict=True)),
                    }
                )
        table = pd.DataFrame(rows).astype(object)
        table.to_csv(folder / ("Data_Entry_2017_v2020.csv" if archive else "labels.csv"), index=False)
        return table

    return write


def build_dicom(
    pixels: np.ndarray, bits: int = 12, photometric: str = "MONOCHROME2", patient: str = "P1", **elements: object
) -> Dataset:
    """A secondary-capture radiograph of one frame, as it would be read from a file."""
    content = Dataset()
    content.file_meta = FileMetaDataset()
    content.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    content.SOPClassUID = content.file_meta.MediaStorageSOPClassUID
    content.SOPInstanceUID = content.file_meta.MediaStorageSOPInstanceUID = generate_uid(
        entropy_srcs=[str(pixels.sum())]
    )
    content.Modality, content.PatientID, content.ViewPosition = "DX", patient, "PA"
    content.PatientAge, content.PatientSex = "061Y", "F"
    content.Rows, content.Columns = pixels.shape[:2]
    content.SamplesPerPixel, content.PhotometricInterpretation = 1, photometric
    content.BitsAllocated = 8 if bits == 8 else 16
    content.BitsStored, content.HighBit, content.PixelRepresentation = bits, bits - 1, 0
    content.PixelData = pixels.astype(np.uint8 if bits == 8 else np.uint16).tobytes()
    for name, value in elements.items():
        if value is None:
            delattr(content, name)
        else:
            setattr(content, name, value)
    return content


@pytest.fixture
def write_dicom() -> Callable[..., np.ndarray]:
    """Write one DICOM file; returns its stored pixels, which span the range of its bits."""

    def write(path: Path, seed: int = 0, bits: int = 12, **elements: object) -> np.ndarray:
        image = draw_image(seed).astype(float)
        pixels = np.rint((image - image.min()) / np.ptp(image) * (2**bits - 1)).astype(np.uint16)
        path.parent.mkdir(parents=True, exist_ok=True)
        pydicom.dcmwrite(path, build_dicom(pixels, bits, **elements), enforce_file_format=True)
        return pixels

    return write


@pytest.fixture
def calibrated(scripts, tmp_path):
    """Write a calibration of some weights; returns how to load it."""
    torch.save({"w": torch.zeros(1)}, tmp_path / "model.pt")

    def calibrate(content=None, alarm="informer_lrp", extended=(), **options):
        # the extensions are fitted by cross-validation, which takes most of the time
        options["settings"] = scripts("alarms.alarm").AlarmSettings(extended=extended)
        arguments = {"classes": CLASSES, "image_size": 32, "weights_file": tmp_path / "model.pt"}
        arguments["calibration_file"] = tmp_path / "calibration.json"
        fitter = scripts("informer_calibration").InformerCalibration(
            Collector(content or collected()), bundle="chexpert_informer", alarm=alarm, **arguments, **options
        )
        fitter(None)
        return scripts("informer_classifier").InformerClassifier.load(
            arguments["calibration_file"], arguments["weights_file"], CLASSES, 32
        )

    return calibrate


@pytest.fixture(scope="module")
def preparation(bundle_scripts, repository):
    """The preparation of the bundle's own config."""
    bundle_scripts("chexpert_informer")("prepare")
    file = repository / "bundles" / "chexpert_informer" / "configs" / "prepare.json"

    def build(**overrides):
        parser = ConfigParser(ConfigParser.load_config_file(str(file)))
        parser.update({"workers": 1, **overrides})
        return parser.get_parsed_content("prepare")

    return build


@pytest.fixture(scope="module")
def patients(scripts):
    return scripts("phantom_patients")


@pytest.fixture(scope="module")
def parameters(scripts):
    return scripts("phantom_parameters").PhantomParameters()


@pytest.fixture(scope="module")
def studies(patients):
    return patients.sample_studies({"train": 3000, "test": 1500}, seed=1)


@pytest.fixture(scope="module")
def render(scripts):
    return scripts("phantom_rendering").render_study


@pytest.fixture(scope="module")
def bits(scripts):
    return scripts("findings").TRUTH
