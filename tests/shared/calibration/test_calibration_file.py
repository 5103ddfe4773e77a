import pytest

from shared.calibration.calibration_file import read_calibration, write_calibration
from shared.data.errors import DataError
from shared.data.files import sha256_file


@pytest.fixture
def weights(tmp_path):
    file = tmp_path / "model.pt"
    file.write_bytes(b"weights")
    return file


def test_what_was_written_is_read(tmp_path, weights):
    content = {"weights_sha256": sha256_file(weights), "temperature": {"value": 2.5}}
    write_calibration(tmp_path / "calibration.json", content)
    assert read_calibration(tmp_path / "calibration.json", weights) == content


def test_a_missing_file_says_to_run_calibrating(tmp_path, weights):
    with pytest.raises(DataError, match=r"calibration\.json: no such file; run calibrating"):
        read_calibration(tmp_path / "calibration.json", weights)


def test_missing_weights_are_named(tmp_path, weights):
    write_calibration(tmp_path / "calibration.json", {"weights_sha256": "0"})
    with pytest.raises(DataError, match=r"other\.pt: no such file; run training"):
        read_calibration(tmp_path / "calibration.json", tmp_path / "other.pt")


def test_the_calibration_of_another_model_is_refused(tmp_path, weights):
    write_calibration(tmp_path / "calibration.json", {"weights_sha256": sha256_file(weights)})
    old = sha256_file(weights)
    weights.write_bytes(b"other weights")
    with pytest.raises(DataError) as error:
        read_calibration(tmp_path / "calibration.json", weights)
    for part in (old, sha256_file(weights), "model.pt", "run calibrating again"):
        assert part in str(error.value)


def test_a_calibration_for_other_settings_is_refused(tmp_path, weights):
    content = {"weights_sha256": sha256_file(weights), "classes": ["cat", "dog"], "image_size": 64}
    write_calibration(tmp_path / "calibration.json", content)
    same = {"classes": ["cat", "dog"], "image_size": 64}
    assert read_calibration(tmp_path / "calibration.json", weights, same) == content
    for other, message in (
        (
            {**same, "image_size": 32},
            r"calibration\.json: fitted for image_size 64, but used with 32; use",
        ),
        ({"seed": 1}, r"fitted for seed None, but used with 1"),
    ):
        with pytest.raises(DataError, match=message):
            read_calibration(tmp_path / "calibration.json", weights, other)


@pytest.mark.parametrize("text", ["[]", "{}", '{"weights_sha256": null}', "not JSON"])
def test_files_of_another_kind_are_refused(tmp_path, weights, text):
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(DataError, match=r"calibration\.json"):
        read_calibration(tmp_path / "calibration.json", weights)


def test_nothing_is_written_without_the_hash_or_with_a_number_json_cannot_hold(tmp_path):
    file = tmp_path / "calibration.json"
    with pytest.raises(DataError, match="weights_sha256"):
        write_calibration(file, {"temperature": 1.0})
    with pytest.raises(ValueError, match="JSON"):
        write_calibration(file, {"weights_sha256": "0", "temperature": float("nan")})
    assert list(tmp_path.iterdir()) == []
