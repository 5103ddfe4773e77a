from __future__ import annotations

import h5py
import numpy as np
import pytest

from shared.data.errors import DataError

PATTERN = r"^(?P<donor>[^_]+)_"
CLASSES = {"_Mon_": "monocyte", "_Neu_": "neutrophil"}
OUTLIERS = {"_Emp_": "empty"}
SHAPE = (120, 160)


@pytest.fixture(scope="module")
def recordings(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("recordings")


@pytest.fixture
def reader(recordings):
    return recordings.RecordingReader(PATTERN, CLASSES, OUTLIERS, SHAPE)


@pytest.fixture
def recording(write_recording, tmp_path):
    return write_recording(tmp_path / "D01_Mon_001.phase", [[(60, 80, 14)], [], [(40, 40, 14)]], truth=True)


def test_class_kind_and_donor_from_the_name(recordings, reader):
    identity = recordings.Identity
    assert reader.identify("/x/D01_Mon_001.phase") == identity("D01", "monocyte", None)
    assert reader.identify("P7_Emp_9.phase") == identity("P7", None, "empty")
    other = recordings.RecordingReader(r"patient(?P<donor>\d+)", CLASSES, OUTLIERS)
    assert other.identify("2024_Neu_patient12.phase").donor == "12"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("D01_Bas_001.phase", r"no known class token in the name, expected exactly one of _Mon_, _Neu_, _Emp_"),
        ("D01Mon001.phase", "no known class token"),
        ("D01_Mon_Neu_001.phase", "the tokens _Mon_ and _Neu_|exactly one"),
        ("_Mon_001.phase", r"no donor found in the name, expected a match of '\^\(\?P<donor>"),
    ],
)
def test_names_that_say_nothing_are_refused(reader, name, message):
    with pytest.raises(DataError, match=message):
        reader.identify(name)


@pytest.mark.parametrize("pattern", ["(abc", "^D[0-9]+"])
def test_donor_pattern_must_have_a_group(recordings, pattern):
    with pytest.raises(ValueError, match="donor_pattern"):
        recordings.RecordingReader(pattern, CLASSES, OUTLIERS)


def test_frames_are_read_as_written(reader, recording):
    excluded = []
    with h5py.File(recording) as file, reader.open(recording) as opened:
        assert opened.names == ["00001", "00002", "00003"]
        frames = list(opened.frames(excluded))
        for frame in frames:
            np.testing.assert_array_equal(frame.phase, file[f"image/{frame.name}"])
            np.testing.assert_array_equal(frame.truth, file[f"truth/{frame.name}"])
            assert frame.phase.dtype == np.float32
        assert [frame.name for frame in opened.frames(excluded, ["00003", "00001"])] == ["00003", "00001"]
    assert excluded == []


def test_only_one_frame_is_read_at_a_time(reader, recording, monkeypatch):
    reads = []
    original = h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, key: reads.append(self.name) or original(self, key))
    with reader.open(recording) as opened:
        frames = opened.frames([])
        assert reads == []
        next(frames)
        assert reads == ["/image/00001", "/truth/00001"]


def test_recordings_without_truth(reader, write_recording, tmp_path):
    path = write_recording(tmp_path / "D01_Mon_001.phase", [[]])
    with reader.open(path) as opened:
        assert opened.read("00001").truth is None


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_truncated_file(reader, recording, keep):
    content = recording.read_bytes()
    recording.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with (
        pytest.raises(DataError, match=r"D01_Mon_001\.phase: not a complete HDF5 file .* bytes; .* copy it anew"),
        reader.open(recording),
    ):
        pass


def test_missing_file(reader, tmp_path):
    with pytest.raises(DataError, match="no such recording"), reader.open(tmp_path / "gone.phase"):
        pass


def test_missing_image_group_names_what_was_found(reader, tmp_path):
    path = tmp_path / "D01_Mon_001.phase"
    with h5py.File(path, "w") as file:
        file["phase/1"] = np.zeros(SHAPE)
    with pytest.raises(DataError, match="no frames in the group 'image', found phase; expected image/00001"):
        reader.open(path).__enter__()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a[:100], r"frame image/00002 has shape 100 x 160, expected 120 x 160"),
        (lambda a: np.where(np.arange(160) == 3, np.nan, a), r"120 of 19200 values that are NaN or infinite"),
        (lambda a: np.full_like(a, 0.25), r"constant \(every value is 0.25\)"),
        (lambda a: (100 * a).astype(np.int16), r"values of type int16, expected floating-point phase in radians"),
    ],
)
def test_a_bad_frame_is_left_out_with_its_reason_and_the_rest_goes_on(reader, recording, change, message):
    with h5py.File(recording, "r+") as file:
        image = file["image/00002"][()]
        del file["image/00002"]
        file["image/00002"] = change(image)
    excluded = []
    with reader.open(recording) as opened:
        assert [frame.name for frame in opened.frames(excluded)] == ["00001", "00003"]
        with pytest.raises(DataError, match=message):
            opened.read("00002")
    assert [(item.source, item.item) for item in excluded] == [("D01_Mon_001.phase", "00002")]


def test_a_frame_that_a_small_file_only_says_it_holds_is_refused(reader, tmp_path):
    path = tmp_path / "D01_Mon_001.phase"
    with h5py.File(path, "w") as file:
        file.create_dataset("image/00001", shape=(200_000, 200_000), dtype="f4", chunks=(512, 512))
    assert path.stat().st_size < 10_000
    with reader.open(path) as opened, pytest.raises(DataError, match="200000 x 200000 values, expected at most"):
        opened.read("00001")


def test_truth_of_another_size_or_missing(reader, recording):
    with h5py.File(recording, "r+") as file:
        del file["truth/00001"], file["truth/00002"]
        file["truth/00002"] = np.zeros((5, 5), np.uint8)
    excluded = []
    with reader.open(recording) as opened:
        assert [frame.name for frame in opened.frames(excluded)] == ["00003"]
    assert "truth/00001 is missing" in excluded[0].reason
    assert "truth/00002 is uint8 of shape (5, 5), expected uint8 of shape (120, 160)" in excluded[1].reason


def test_damage_inside_the_file_is_found_on_reading(reader, tmp_path):
    path = tmp_path / "D01_Mon_001.phase"
    image = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    with h5py.File(path, "w") as file:
        for name in ("00001", "00002"):
            file.create_dataset(f"image/{name}", data=image, compression="gzip", chunks=SHAPE)
        chunk = file["image/00002"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + 200] = b"\x00" * 200
    path.write_bytes(content)
    excluded = []
    with reader.open(path) as opened:
        assert [frame.name for frame in opened.frames(excluded)] == ["00001"]
    assert "image/00002 cannot be read" in excluded[0].reason


def test_files_of_a_folder(reader, write_recording, tmp_path):
    first = write_recording(tmp_path / "b" / "D01_Mon_001.phase", [[]])
    second = write_recording(tmp_path / "a" / "D02_Mon_001.phase", [[]])
    (tmp_path / "notes.txt").write_text("x")
    assert reader.list_files(tmp_path) == [second, first]
