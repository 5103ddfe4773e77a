"""Results as DICOM: what they say, whose they are, valid by validators that know nothing of this project."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pydicom
import pytest
import torch
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DA, TM

from shared.data.errors import DataError
from shared.saliency.input_gradient import InputXGradient
from tests.bundles.chexpert_informer.conftest import FINDINGS as CLASSES
from tests.bundles.chexpert_informer.conftest import build_dicom, draw_image

pytest.importorskip("highdicom", reason="DICOM output needs highdicom: pip install 'monai-explainable-bundles[dicom]'")

PATIENT = {
    "PatientName": "Doe^Test",
    "PatientBirthDate": "19600102",
    "PatientSex": "F",
    "StudyDate": "20200304",
    "StudyTime": "101112",
    "AccessionNumber": "ACC7",
    "StudyID": "S9",
    "ReferringPhysicianName": "Referrer^Test",
    "StudyInstanceUID": "1.2.3.4.5",
    "SeriesInstanceUID": "1.2.3.4.5.6",
    "SOPInstanceUID": "1.2.3.4.5.6.7",
    "PatientOrientation": ["L", "F"],
}
PRESENT, FLAGGED = {"cardiomegaly"}, {"edema"}


@pytest.fixture
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture
def write_source():
    def write(path, **elements):
        pixels = np.rint(draw_image(3).astype(float) * 16).astype(np.uint16)
        content = build_dicom(pixels, patient="P1", **PATIENT | elements)
        content.file_meta.MediaStorageSOPInstanceUID = content.SOPInstanceUID
        pydicom.dcmwrite(path, content, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def write_results(scripts, tmp_path):
    """Run the writer on some files; returns the folder, and the index as a table."""

    def write(*paths, deidentify=False, key=None, version=1, **options):
        torch.manual_seed(0)
        network = scripts("networks").ChestNetwork(5, init_features=4, growth_rate=4, block_config=(1, 1)).eval()
        torch.save(network.state_dict(), tmp_path / "model.pt")
        records = [{"id": path.stem, "image": str(path)} for path in paths]
        table = pd.DataFrame({"id": [record["id"] for record in records]})
        for number, name in enumerate(CLASSES):
            table[f"probability_{name}"], table[f"confidence_{name}"] = 0.1 + 0.2 * number, 0.05 + 0.2 * number
            table[f"distinctiveness_{name}"] = np.nan if name == "edema" else 3.5 + number
            table[f"prediction_{name}"], table[f"alarm_{name}"] = int(name in PRESENT), int(name in FLAGGED)
            table[f"reason_{name}"] = f"because of {name}, größer"
        images = scripts("explained_images").ExplainedImages(records, CLASSES, 32)
        (tmp_path / "calibration.json").write_text(str(version))
        method = InputXGradient(network)
        uids = scripts("dicom_uids").ResultUids.of(tmp_path / "model.pt", tmp_path / "calibration.json", method)
        writer = scripts("dicom_output").DicomWriter(
            SimpleNamespace(table=table),
            images,
            method,
            "input_x_gradient",
            "cpu",
            tmp_path / "out",
            uids,
            {"intended_use": "Research."},
            pseudonyms=scripts("dicom_identity").pseudonyms(deidentify, key),
            **options,
        )
        writer(None)
        return tmp_path / "out" / "dicom", read_index(tmp_path / "out" / "dicom")

    return write


def read_index(folder):
    return pd.read_csv(folder / "index.csv", keep_default_na=False, dtype={"folder": str})


def results(folder, index, row=0):
    own = folder / index["folder"][row]
    report = pydicom.dcmread(own / "report.dcm")
    return report, {path.stem.removeprefix("overlay_"): pydicom.dcmread(path) for path in own.glob("overlay_*.dcm")}


def groups(report):
    """Measurement groups by finding: numbers and codes by the meaning of their names."""
    found = {}
    (container,) = [item for item in report.ContentSequence if _name(item) == "Imaging Measurements"]
    for group in container.ContentSequence:
        said = {}
        for item in group.ContentSequence:
            if item.ValueType == "NUM":
                said[item.ConceptNameCodeSequence[0].CodeValue] = float(item.MeasuredValueSequence[0].NumericValue)
            elif item.ValueType == "CODE":
                said[item.ConceptNameCodeSequence[0].CodeValue] = item.ConceptCodeSequence[0].CodeMeaning
            elif item.ValueType == "TEXT":
                said[item.ConceptNameCodeSequence[0].CodeValue] = item.TextValue
            elif item.ValueType == "IMAGE":
                reference = item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
                said.setdefault("images", []).append(str(reference))
        found[said["112039"]] = said  # tracking identifier
    return found


def _name(item):
    return item.ConceptNameCodeSequence[0].CodeMeaning


def test_report_and_overlays_say_what_the_predictions_say(write_source, write_results, tmp_path):
    folder, index = write_results(write_source(tmp_path / "a.dcm"))
    assert index[["overlays", "reason"]].to_numpy().tolist() == [[2, ""]]
    report, overlays = results(folder, index)
    assert set(overlays) == PRESENT | FLAGGED
    said = groups(report)
    assert list(said) == list(CLASSES)
    for number, name in enumerate(CLASSES):
        one = said[name]
        assert one["probability"] == pytest.approx(0.1 + 0.2 * number)
        assert one["confidence"] == pytest.approx(0.05 + 0.2 * number)
        assert one.get("distinctiveness") == (None if name == "edema" else 3.5 + number)
        assert one["705057003"] == ("Present" if name in PRESENT else "Absent")
        assert one["alarm"] == ("Alarm raised" if name in FLAGGED else "No alarm raised")
        assert one["decision"].startswith("Leave" if name in FLAGGED else "Accept")
        assert one["121106"] == f"because of {name}, größer"
        overlay = [overlays[name].SOPInstanceUID] if name in overlays else []
        assert one["images"] == ["1.2.3.4.5.6.7", *overlay]
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
        "COMPLETE", "UNVERIFIED", "PRELIMINARY",
    )  # fmt: skip
    evidence = {
        str(item.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert evidence == {"1.2.3.4.5.6.7", *(str(image.SOPInstanceUID) for image in overlays.values())}
    assert len({report.SeriesInstanceUID, *(image.SeriesInstanceUID for image in overlays.values())}) == 2


def test_identity_is_copied_and_never_invented(write_source, write_results, tmp_path):
    missing = ("PatientName", "PatientBirthDate", "ReferringPhysicianName", "AccessionNumber", "PatientOrientation")
    bare = dict.fromkeys(("StudyID", "StudyTime"), "")
    own = {"SOPInstanceUID": "1.2.3.4.5.6.8", **bare}
    full, poor = write_source(tmp_path / "a.dcm"), tmp_path / "b.dcm"
    content = pydicom.dcmread(write_source(poor, **own))
    for name in missing:
        delattr(content, name)
    content.save_as(poor)
    folder, index = write_results(full, poor)
    for row, source in enumerate((full, poor)):
        header = pydicom.dcmread(source)
        report, overlays = results(folder, index, row)
        for file in (report, *overlays.values()):
            for name in ("PatientID", *(key for key in PATIENT if not key.startswith(("S", "PatientO")))):
                assert str(file.get(name) or "") == str(header.get(name) or ""), name
            assert file.StudyInstanceUID == header.StudyInstanceUID
            assert file.SeriesInstanceUID != header.SeriesInstanceUID
            assert file.StudyDate == "20200304"
        for image in overlays.values():
            assert list(image.PatientOrientation or []) == list(header.get("PatientOrientation") or [])
            (reference,) = image.SourceImageSequence
            assert reference.ReferencedSOPInstanceUID == header.SOPInstanceUID


def test_a_name_keeps_its_letters_in_another_character_set(write_source, write_results, tmp_path):
    source = write_source(tmp_path / "a.dcm", SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")
    assert "Müller".encode("latin-1") in source.read_bytes()
    folder, index = write_results(source)
    report, overlays = results(folder, index)
    for file in (report, *overlays.values()):
        assert file.SpecificCharacterSet == "ISO_IR 192"
        assert str(file.PatientName) == "Müller^Jörg"


def test_an_image_that_nothing_can_refer_to_is_left_out_with_the_reason(write_source, write_results, tmp_path):
    good, bad = write_source(tmp_path / "a.dcm"), tmp_path / "b.dcm"
    content = pydicom.dcmread(write_source(bad))
    del content.StudyInstanceUID
    content.save_as(bad)
    folder, index = write_results(good, bad)
    assert index["overlays"].tolist() == [2, 0]
    assert "b.dcm: has no StudyInstanceUID, so that no report can refer to it" in index["reason"][1]
    assert len([path for path in folder.iterdir() if path.is_dir()]) == 1


def test_without_identity(write_source, write_results, scripts, tmp_path):
    folder, _ = write_results(write_source(tmp_path / "Doe.dcm"), deidentify=True, key="secret")
    (own,) = [path for path in folder.iterdir() if path.is_dir()]
    assert own.name == scripts("dicom_identity").Pseudonyms("secret").uid("1.2.3.4.5.6.7")
    files = [pydicom.dcmread(path) for path in sorted(own.iterdir())]
    assert len(files) == 3
    for path in own.iterdir():
        raw = path.read_bytes()
        for value in ("Doe", "P1 ", "19600102", "20200304", "ACC7", "Referrer", "1.2.3.4.5"):
            assert value.encode() not in raw, value
    pseudonyms = scripts("dicom_identity").Pseudonyms("secret")
    for file in files:
        assert file.PatientIdentityRemoved == "YES"
        assert str(file.PatientName) == f"{file.PatientID}^"
        assert file.PatientID.startswith("ANON")
        assert file.StudyInstanceUID == pseudonyms.uid("1.2.3.4.5")
        assert pydicom.uid.UID(file.StudyInstanceUID).is_valid
    assert files[0].SourceImageSequence[0].ReferencedSOPInstanceUID == pseudonyms.uid("1.2.3.4.5.6.7")
    assert pseudonyms.uid("1.2.3") != scripts("dicom_identity").Pseudonyms("other").uid("1.2.3")


def test_a_repeat_has_the_same_uids_and_leaves_nothing_of_the_run_before(write_source, write_results, tmp_path):
    def uids(folder):
        files = [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
        return [(file.SOPInstanceUID, file.SeriesInstanceUID) for file in files]

    source = write_source(tmp_path / "a.dcm")
    folder, _ = write_results(source, drawn="all")
    assert len(uids(folder)) == 6
    first = uids(write_results(source)[0])
    assert len({instance for instance, _ in first}) == len(first) == 3
    assert uids(write_results(source)[0]) == first
    again = uids(write_results(source, version=2)[0])
    assert not {uid for pair in again for uid in pair} & {uid for pair in first for uid in pair}, "another calibration"
    folder, index = write_results(source, deidentify=True, key="secret")
    hidden = uids(folder / index["folder"][0])
    assert len(hidden) == 3
    assert not {uid for pair in hidden for uid in pair} & {uid for pair in [*first, *again] for uid in pair}


def test_dates_are_in_the_zone_that_the_image_states(write_source, write_results, tmp_path):
    before = datetime.now(UTC).replace(microsecond=0)
    east = write_source(tmp_path / "a.dcm", TimezoneOffsetFromUTC="+0530")
    west = write_source(tmp_path / "b.dcm", SOPInstanceUID="1.2.3.4.5.6.8", TimezoneOffsetFromUTC="-0330")
    silent = write_source(tmp_path / "c.dcm", SOPInstanceUID="1.2.3.4.5.6.9")
    folder, index = write_results(east, west, silent)
    for row, (zone, hours) in enumerate((("+0530", 5.5), ("-0330", -3.5), (None, None))):
        report, overlays = results(folder, index, row)
        for file in (report, *overlays.values()):
            assert file.get("TimezoneOffsetFromUTC") == zone
            local = None if hours is None else timezone(timedelta(hours=hours))
            for date, time in (("ContentDate", "ContentTime"), ("InstanceCreationDate", "InstanceCreationTime")):
                said = datetime.combine(DA(file[date].value), TM(file[time].value))
                said = said.astimezone() if local is None else said.replace(tzinfo=local)
                assert before <= said <= datetime.now(UTC)


def test_names_in_several_character_sets(write_source, write_results, tmp_path):
    """PS3.5, H.3.1: a Japanese name in its three groups."""
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    source = write_source(tmp_path / "a.dcm", SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=name)
    assert "山田".encode() not in source.read_bytes()
    folder, index = write_results(source)
    report, overlays = results(folder, index)
    for file in (report, *overlays.values()):
        assert (file.SpecificCharacterSet, str(file.PatientName)) == ("ISO_IR 192", name)


def test_a_patient_without_an_id_and_whose_number_it_is(write_source, write_results, tmp_path):
    nobody = write_source(tmp_path / "a.dcm", PatientID="", PatientName="")
    issued = write_source(tmp_path / "b.dcm", SOPInstanceUID="1.2.3.4.5.6.8", IssuerOfPatientID="ISSUER")
    folder, index = write_results(nobody, issued)
    report, overlays = results(folder, index, 0)
    for file in (report, *overlays.values()):
        assert (str(file.PatientID or ""), str(file.PatientName or "")) == ("", "")
    report, overlays = results(folder, index, 1)
    assert {file.IssuerOfPatientID for file in (report, *overlays.values())} == {"ISSUER"}
    folder, index = write_results(nobody, deidentify=True)
    report, _ = results(folder, index)
    assert str(report.PatientID or "") == ""


def test_lossy_once_lossy_ever(write_source, write_results, tmp_path):
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "12"}
    for options in ({}, {"deidentify": True}):
        folder, index = write_results(write_source(tmp_path / "a.dcm", **lossy), **options)
        for image in results(folder, index)[1].values():
            assert (image.LossyImageCompression, float(image.LossyImageCompressionRatio)) == ("01", 12)


def test_a_header_that_no_valid_result_can_have_stops_nothing_else(write_source, write_results, tmp_path):
    with pytest.warns(UserWarning, match="Invalid value"):
        bad = write_source(tmp_path / "a.dcm", PatientSex="unknown")
    good = write_source(tmp_path / "b.dcm", SOPInstanceUID="1.2.3.4.5.6.8")
    _, index = write_results(bad, good)
    assert index["overlays"].tolist() == [0, 2]
    assert re.search(r"a\.dcm: no valid DICOM result can take over its header \(.*unknown", index["reason"][0])


def test_nothing_is_compressed_and_every_overlay_refers_to_its_image(write_source, write_results, tmp_path):
    folder, index = write_results(write_source(tmp_path / "a.dcm"))
    report, overlays = results(folder, index)
    for file in (report, *overlays.values()):
        assert file.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert file.file_meta.MediaStorageSOPInstanceUID == file.SOPInstanceUID
    assert sorted(int(image.InstanceNumber) for image in overlays.values()) == [1, 2]
    assert {image.SeriesNumber for image in overlays.values()} == {9901}
    assert report.SeriesNumber == 9902
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == "1.2.3.4.5"
    series = {str(item.SeriesInstanceUID) for item in study.ReferencedSeriesSequence}
    assert series == {"1.2.3.4.5.6", *(str(image.SeriesInstanceUID) for image in overlays.values())}


def test_identity_in_the_pixels_cannot_be_removed(write_source, write_results, tmp_path):
    source = write_source(tmp_path / "a.dcm", BurnedInAnnotation="YES")
    _, index = write_results(source, deidentify=True)
    assert "BurnedInAnnotation is YES; its pixels may name the patient" in index["reason"][0]
    folder, index = write_results(source)
    assert {image.BurnedInAnnotation for image in results(folder, index)[1].values()} == {"YES"}


@pytest.mark.parametrize("deidentify", [False, True])
def test_whether_pixels_name_somebody_is_stated_only_where_the_image_states_it(
    write_source, write_results, tmp_path, deidentify
):
    stated = write_source(tmp_path / "a.dcm", BurnedInAnnotation="NO")
    silent = write_source(tmp_path / "b.dcm", SOPInstanceUID="1.2.3.4.5.6.8")
    folder, index = write_results(stated, silent, deidentify=deidentify)
    for row, said in enumerate(("NO", None)):
        assert {image.get("BurnedInAnnotation") for image in results(folder, index, row)[1].values()} == {said}


def test_other_files_and_settings_are_refused(write_results, tmp_path):
    from PIL import Image

    Image.fromarray(draw_image(0)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"no image is a DICOM file; leave dicom\.json out"):
        write_results(tmp_path / "a.png")
    with pytest.raises(DataError, match="dicom_overlays is 'some', expected one of present_or_flagged, all, none"):
        write_results(tmp_path / "a.png", drawn="some")


@pytest.mark.parametrize("deidentify", [False, True])
def test_valid_by_dciodvfy(write_source, write_results, tmp_path, deidentify):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed; apt-get install dicom3tools")
    folder, _ = write_results(write_source(tmp_path / "a.dcm"), deidentify=deidentify)
    files = sorted(folder.rglob("*.dcm"))
    assert len(files) == 3
    for path in files:
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", check=False)
        said = done.stdout + done.stderr
        assert ("SCImage" if "overlay" in path.name else "ComprehensiveSR") in said
        assert not [line for line in said.splitlines() if line.startswith("Error")], said


def test_readable_by_dcmtk(write_source, write_results, tmp_path):
    if shutil.which("dsrdump") is None:
        pytest.skip("dsrdump is not installed; apt-get install dcmtk")
    folder, _ = write_results(write_source(tmp_path / "a.dcm"))
    (report,) = folder.rglob("report.dcm")
    done = subprocess.run(
        ["dsrdump", "+Pc", str(report)], capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "VR checker does not support" not in line]
    for text in ("Comprehensive SR Document", "Doe^Test", "Pleural effusion", "Calibrated probability of the finding"):
        assert text in done.stdout


def test_readable_by_highdicom(write_source, write_results, tmp_path):
    highdicom = pytest.importorskip("highdicom")
    folder, _ = write_results(write_source(tmp_path / "a.dcm"))
    (path,) = folder.rglob("report.dcm")
    assert pydicom.dcmread(path).ContentTemplateSequence[0].TemplateIdentifier == "1500"
    found = highdicom.sr.srread(path).content.get_image_measurement_groups()
    assert [group.tracking_identifier for group in found] == list(CLASSES)
