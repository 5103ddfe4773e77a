"""DICOM files of every kind: what a viewer would show, against the standard's formulae written out, and bad files."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, HTJ2KLossless, RLELossless

from shared.data.errors import DataError


@pytest.fixture(scope="module")
def dicom(bundle_scripts):
    return bundle_scripts("chexpert_informer")("dicom")


@pytest.fixture(scope="module")
def chest_image(bundle_scripts, dicom):
    return bundle_scripts("chexpert_informer")("chest_image")


def _spoil(path, change):
    content = pydicom.dcmread(path)
    change(content)
    pydicom.dcmwrite(path, content)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_stored_values_come_back_at_every_depth(dicom, write_dicom, tmp_path, bits):
    pixels = write_dicom(tmp_path / "a.dcm", 3, bits)
    shown = dicom.read_dicom(tmp_path / "a.dcm")
    assert shown.dtype == np.float32
    np.testing.assert_array_equal(shown, pixels)
    assert shown.max() == 2**bits - 1


def test_monochrome1_is_turned_around(dicom, write_dicom, tmp_path):
    pixels = write_dicom(tmp_path / "a.dcm", 3, photometric="MONOCHROME1").astype(float)
    np.testing.assert_array_equal(dicom.read_dicom(tmp_path / "a.dcm"), pixels.max() - pixels)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_is_the_standards(dicom, write_dicom, tmp_path, function, photometric):
    """PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2, up to the scale of the output."""
    pixels = write_dicom(
        tmp_path / "a.dcm", 3, photometric=photometric, WindowCenter=1800, WindowWidth=900, VOILUTFunction=function
    ).astype(float)
    if function == "SIGMOID":
        expected = 1 / (1 + np.exp(-4 * (pixels - 1800) / 900))
    else:
        centre, width = (1799.5, 899.0) if function == "LINEAR" else (1800.0, 900.0)
        expected = np.clip((pixels - centre) / width + 0.5, 0, 1)
    shown = dicom.read_dicom(tmp_path / "a.dcm").astype(float)
    shown = (shown - shown.min()) / np.ptp(shown)
    expected = (expected - expected.min()) / np.ptp(expected)
    np.testing.assert_allclose(shown, 1 - expected if photometric == "MONOCHROME1" else expected, atol=1e-6)


def test_the_first_of_several_windows_and_a_rescaling(dicom, write_dicom, tmp_path):
    pixels = write_dicom(
        tmp_path / "a.dcm",
        3,
        WindowCenter=[300.0, 2000.0],
        WindowWidth=[200.0, 4000.0],
        VOILUTFunction="LINEAR_EXACT",
        RescaleSlope=0.5,
        RescaleIntercept=-100.0,
    ).astype(float)
    expected = np.clip((0.5 * pixels - 100 - 300) / 200 + 0.5, 0, 1)
    shown = dicom.read_dicom(tmp_path / "a.dcm").astype(float)
    np.testing.assert_allclose((shown - shown.min()) / np.ptp(shown), expected, atol=1e-6)


def test_a_look_up_table_comes_before_a_window(dicom, write_dicom, tmp_path):
    table = Dataset()
    table.LUTDescriptor = [256, 0, 16]
    entries = (np.linspace(0, 1, 256) ** 2 * 65535).astype(np.uint16)
    table.LUTData = entries.tobytes()
    pixels = write_dicom(tmp_path / "a.dcm", 3, 8, VOILUTSequence=Sequence([table]), WindowCenter=10, WindowWidth=20)
    np.testing.assert_array_equal(dicom.read_dicom(tmp_path / "a.dcm"), entries[pixels])


def test_run_length_encoding_needs_no_further_decoder(dicom, write_dicom, tmp_path):
    pixels = write_dicom(tmp_path / "a.dcm", 3)
    _spoil(tmp_path / "a.dcm", lambda content: content.compress(RLELossless))
    np.testing.assert_array_equal(dicom.read_dicom(tmp_path / "a.dcm"), pixels)


def test_header(dicom, write_dicom, tmp_path):
    write_dicom(tmp_path / "a.dcm", 3, patient="Q7", ViewPosition="AP", PatientAge="018M", PatientSex="O")
    header = dicom.read_header(tmp_path / "a.dcm")
    assert (header.patient, header.view, header.age, header.sex) == ("Q7", "AP", 1.5, None)
    write_dicom(tmp_path / "b.dcm", 3, PatientID=None, ViewPosition=None, PatientAge=None, PatientSex=None)
    header = dicom.read_header(tmp_path / "b.dcm")
    assert (header.patient, header.view, header.age, header.sex) == (None, None, None, None)


def test_dicom_files_are_known_by_suffix_or_by_their_beginning(dicom, write_dicom, tmp_path):
    write_dicom(tmp_path / "a.DCM", 1)
    write_dicom(tmp_path / "1.2.840.7", 1)
    write_dicom(tmp_path / "IM0001", 1)
    write_dicom(tmp_path / "a.txt", 1)
    (tmp_path / "README").write_text("nothing")
    known = {path.name for path in tmp_path.iterdir() if dicom.is_dicom(path)}
    assert known == {"a.DCM", "1.2.840.7", "IM0001"}


BAD = {
    "no pixels": (lambda c: delattr(c, "PixelData"), "DICOM without pixel data"),
    "colour": (lambda c: setattr(c, "PhotometricInterpretation", "PALETTE COLOR"), "is 'PALETTE COLOR', expected MONO"),
    "frames": (lambda c: setattr(c, "NumberOfFrames", 2), "holds 2 frames, expected one"),
    "bits": (lambda c: setattr(c, "BitsStored", 6), "6 bits are stored of each pixel, expected 8 to 16"),
    "short": (
        lambda c: setattr(c, "PixelData", c.PixelData[:200]),
        "cannot be decoded .* cut short or its header wrong",
    ),
    "window": (
        lambda c: (setattr(c, "WindowCenter", 5), setattr(c, "WindowWidth", 0)),
        "window or look-up table cannot be applied",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_named_with_what_is_wrong(dicom, write_dicom, tmp_path, kind):
    change, message = BAD[kind]
    write_dicom(tmp_path / "a.dcm", 3)
    _spoil(tmp_path / "a.dcm", change)
    with pytest.raises(DataError, match=rf"a\.dcm: .*{message}"):
        dicom.read_dicom(tmp_path / "a.dcm")


def _compress(path, syntax):
    gdcm = pytest.importorskip("gdcm", reason="not installed: pip install python-gdcm")
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


@pytest.mark.parametrize(
    ("syntax", "expected"),
    [
        ("JPEGLosslessProcess14", "1.2.840.10008.1.2.4.57"),
        ("JPEGLosslessProcess14_1", "1.2.840.10008.1.2.4.70"),
        ("JPEGLSLossless", "1.2.840.10008.1.2.4.80"),
        ("JPEG2000Lossless", "1.2.840.10008.1.2.4.90"),
        ("RLELossless", "1.2.840.10008.1.2.5"),
    ],
)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_what_archives_compress_with_loses_nothing(dicom, write_dicom, tmp_path, syntax, expected, bits):
    pixels = write_dicom(tmp_path / "a.dcm", 3, bits)
    _compress(tmp_path / "a.dcm", syntax)
    assert pydicom.dcmread(tmp_path / "a.dcm").file_meta.TransferSyntaxUID == expected
    np.testing.assert_array_equal(dicom.read_dicom(tmp_path / "a.dcm"), pixels)


@pytest.mark.parametrize(
    ("syntax", "advice"), [(HTJ2KLossless, "install a decoder"), (RLELossless, "may be cut short")]
)
def test_compressed_and_not_to_be_decoded(dicom, write_dicom, tmp_path, syntax, advice):
    """A way of compressing that no package of the requirements decodes, and damage to one that is known."""
    write_dicom(tmp_path / "a.dcm", 3)
    content = pydicom.dcmread(tmp_path / "a.dcm")
    content.PixelData = pydicom.encaps.encapsulate([bytes(64)])
    content.file_meta.TransferSyntaxUID = syntax
    content["PixelData"].is_undefined_length = True
    pydicom.dcmwrite(tmp_path / "a.dcm", content)
    with pytest.raises(DataError, match=rf"a\.dcm: .*{syntax.name[:8]}.*cannot be decoded .*{advice}"):
        dicom.read_dicom(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("code", "scheme", "view"),
    [("272479007", "SCT", "PA"), ("R-10206", "SRT", "AP"), ("399173006", "SCT", "LL"), ("399351005", "SCT", "OTHER")],
)
def test_the_coded_view_counts_where_there_is_no_other(dicom, write_dicom, tmp_path, code, scheme, view):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, "a view"
    write_dicom(tmp_path / "a.dcm", 3, ViewPosition=None, ViewCodeSequence=Sequence([item]))
    write_dicom(tmp_path / "b.dcm", 3, ViewPosition="RL", ViewCodeSequence=Sequence([item]))
    assert dicom.read_header(tmp_path / "a.dcm").view == view
    assert dicom.read_header(tmp_path / "b.dcm").view == "RL"


def test_what_is_no_dicom(dicom, tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"x" * 500)
    for read in (dicom.read_dicom, dicom.read_header):
        with pytest.raises(DataError, match=r"a\.dcm: cannot be read as DICOM .*500 bytes found"):
            read(tmp_path / "a.dcm")
        with pytest.raises(DataError, match=r"b\.dcm: no such file"):
            read(tmp_path / "b.dcm")


def test_pictures(chest_image, tmp_path):
    from PIL import Image

    grey = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    alpha = np.full((20, 30), 200, np.uint8)
    Image.fromarray(grey).save(tmp_path / "L.png")
    Image.fromarray(np.stack([grey] * 3, -1)).save(tmp_path / "RGB.png")
    Image.fromarray(np.stack([grey] * 3 + [alpha], -1)).save(tmp_path / "RGBA.png")
    Image.fromarray(np.stack([grey, alpha], -1)).save(tmp_path / "LA.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "I16.png")
    for name in ("L", "RGB", "RGBA", "LA"):
        np.testing.assert_array_equal(chest_image.read_chest_image(tmp_path / f"{name}.png"), grey)
    np.testing.assert_array_equal(chest_image.read_chest_image(tmp_path / "I16.png"), grey.astype(float) * 257)
    coloured = np.stack([grey, grey, 255 - grey], -1)
    Image.fromarray(coloured).save(tmp_path / "colour.png")
    Image.new("L", (9, 9), 7).save(tmp_path / "flat.png")
    (tmp_path / "a.txt").write_text("text")
    for name, message in (
        ("colour.png", "is in colour"),
        ("flat.png", "is constant"),
        ("a.txt", "unknown kind of image"),
        ("none.png", "no such file"),
    ):
        with pytest.raises(DataError, match=rf"{name}: .*{message}"):
            chest_image.read_chest_image(tmp_path / name)


def test_a_header_that_says_more_than_a_radiograph_is_refused_before_it_is_decoded(dicom, write_dicom, tmp_path):
    def enlarge(content):
        content.compress(RLELossless)
        content.Rows = content.Columns = 60_000

    write_dicom(tmp_path / "a.dcm", 3)
    _spoil(tmp_path / "a.dcm", enlarge)
    assert (tmp_path / "a.dcm").stat().st_size < 100_000
    with pytest.raises(DataError, match=r"a\.dcm: Rows x Columns: 60000 x 60000 values, expected at most"):
        dicom.read_dicom(tmp_path / "a.dcm")


def test_a_deflated_file_that_inflates_to_more_is_refused(dicom, write_dicom, tmp_path, monkeypatch):
    def deflate(content):
        content.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        content.TextValue = "0" * 100_000

    pixels = write_dicom(tmp_path / "a.dcm", 3)
    _spoil(tmp_path / "a.dcm", deflate)
    np.testing.assert_array_equal(dicom.read_dicom(tmp_path / "a.dcm"), pixels)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)
    for read in (dicom.read_header, dicom.read_dicom):
        with pytest.raises(DataError, match="more than 80000 bytes once it is inflated"):
            read(tmp_path / "a.dcm")
