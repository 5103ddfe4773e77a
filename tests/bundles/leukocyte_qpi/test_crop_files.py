from __future__ import annotations

import numpy as np
import pytest

from shared.data.file_names import safe_name


@pytest.fixture(scope="module")
def crop_files(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("crop_files")


def _files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files_appear_together_at_the_end(crop_files, tmp_path):
    crop, truth = np.random.default_rng(0).normal(size=(4, 4)), np.eye(4, dtype=np.uint8)
    with crop_files.CropFiles(tmp_path, "D01_Mon_001") as files:
        first = files.save("00003", 2, crop, truth)
        files.save("00003", 3, crop, None)
        assert not (tmp_path / "crops" / safe_name("D01_Mon_001")).exists()
    folder, file, other = (safe_name(name) for name in ("D01_Mon_001", "00003/02", "00003/03"))
    assert first == {
        "id": "D01_Mon_001/00003/02",
        "image": f"crops/{folder}/{file}.npy",
        "truth": f"truth/{folder}/{file}.npy",
    }
    assert _files(tmp_path) == [
        f"crops/{folder}/{file}.npy",
        f"crops/{folder}/{other}.npy",
        f"truth/{folder}/{file}.npy",
    ]
    np.testing.assert_array_equal(np.load(tmp_path / first["image"]), crop.astype(np.float32))
    np.testing.assert_array_equal(np.load(tmp_path / first["truth"]), truth)


def test_older_files_are_replaced_as_a_whole_and_kept_after_a_failure(crop_files, tmp_path):
    with crop_files.CropFiles(tmp_path, "r") as files:
        files.save("1", 0, np.zeros((2, 2)), np.zeros((2, 2), np.uint8))

    def fail():
        with crop_files.CropFiles(tmp_path, "r") as files:
            files.save("2", 0, np.zeros((2, 2)), None)
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert _files(tmp_path) == [f"{kind}/{safe_name('r')}/{safe_name('1/00')}.npy" for kind in ("crops", "truth")]
    with crop_files.CropFiles(tmp_path, "r") as files:
        files.remove(files.save("2", 0, np.zeros((2, 2)), None))
        files.save("2", 1, np.zeros((2, 2)), None)
    assert _files(tmp_path) == [f"crops/{safe_name('r')}/{safe_name('2/01')}.npy"]


HOSTILE = ["x/../../../ESCAPED", "/abs", ".", "..", "a/b", "a_b", "a.b", "A/B", "n" * 300, ""]


def test_hostile_names_stay_inside_and_apart(crop_files, tmp_path):
    output = tmp_path / "deep" / "output"
    for value, name in enumerate(HOSTILE):
        crop = np.full((2, 2), value, np.float32)
        path = crop_files.save_crop(output, name, crop)
        with crop_files.CropFiles(output, name) as files:
            records = [files.save(frame, value, crop, None) for frame in HOSTILE]
        for image in [path, *(record["image"] for record in records)]:
            assert (output / image).resolve().is_relative_to(output / "crops")
            np.testing.assert_array_equal(np.load(output / image), crop)
    assert {path.relative_to(tmp_path).parts[:3] for path in tmp_path.rglob("*") if path.is_file()} == {
        ("deep", "output", "crops")
    }
    assert len(_files(output)) == len(HOSTILE) + len(HOSTILE) ** 2
    assert len({name.lower() for name in _files(output)}) == len(_files(output))
