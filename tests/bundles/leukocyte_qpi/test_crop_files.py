from __future__ import annotations

import numpy as np
import pytest


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
        assert not (tmp_path / "crops" / "D01_Mon_001").exists()
    assert first == {
        "id": "D01_Mon_001/00003/02",
        "image": "crops/D01_Mon_001/00003_02.npy",
        "truth": "truth/D01_Mon_001/00003_02.npy",
    }
    assert _files(tmp_path) == [
        "crops/D01_Mon_001/00003_02.npy",
        "crops/D01_Mon_001/00003_03.npy",
        "truth/D01_Mon_001/00003_02.npy",
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
    assert _files(tmp_path) == ["crops/r/1_00.npy", "truth/r/1_00.npy"]
    with crop_files.CropFiles(tmp_path, "r") as files:
        files.remove(files.save("2", 0, np.zeros((2, 2)), None))
        files.save("2", 1, np.zeros((2, 2)), None)
    assert _files(tmp_path) == ["crops/r/2_01.npy"]
