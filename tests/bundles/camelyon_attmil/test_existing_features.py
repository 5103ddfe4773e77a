"""Features that are there already, of CLAM, TRIDENT, STAMP or this project."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from shared.data.errors import DataError
from tests.bundles.camelyon_attmil.prepared_sources import (
    changed_source,
    prepared_records,
    reasons_left_out,
)


def test_features_that_are_there_already(preparation, table_source, tmp_path):
    features = tmp_path / "features"
    features.mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        with h5py.File(features / f"s{number}.h5", "w") as file:
            file["features"], file["coords"] = rng.standard_normal((5, 16)), rng.integers(0, 300, (5, 2))
            file["coords"].attrs["patch_size_level0"] = 64
    with h5py.File(features / "s3.h5", "a") as file:
        file["features"][2, 2] = np.nan
    more = tmp_path / "more"

    def drop_slides(table):
        return table.assign(slide=table["slide"].str.replace("slides", "elsewhere"))

    source = changed_source(table_source, more, drop_slides)
    halves = {"training": 0.4, "validation": 0.3, "test": 0.3}
    preparation(features=str(features), fractions=halves)(source, tmp_path / "out", progress=False)
    records = prepared_records(tmp_path / "out")
    assert sorted(records) == [f"s{number}" for number in range(8) if number != 3]
    assert "NaN" in reasons_left_out(tmp_path / "out")["s3"]
    assert all("slide" not in record and record["tiles"] == 5 for _, record in records.values())
    with h5py.File(features / "s5.h5", "a") as file:
        del file["features"]
        file["features"] = np.zeros((5, 8))
    with pytest.raises(DataError, match="width 16, now 8"):
        preparation(features=str(features), fractions=halves)(source, tmp_path / "out2", progress=False)


def test_stamp_s_places_are_found_again_without_the_slides(preparation, table_source, scripts, tmp_path):
    """They are in µm; the slides, which are asked for their scale in preparing, may be gone afterwards."""
    features = tmp_path / "features"
    features.mkdir()
    coords = np.array([[0.0, 32.0], [64.0, 32.0]])
    for number in range(8):
        with h5py.File(features / f"s{number}.h5", "w") as file:
            file["feats"], file["coords"] = np.ones((2, 3)), coords
            file.attrs.update({"tile_size_um": 32.0, "tile_size_px": 64, "unit": "um"})
    preparation(features=str(features))(table_source, tmp_path / "out", progress=False)
    for _, record in prepared_records(tmp_path / "out").values():
        found = scripts("feature_bags").read_bag({**record, "slide": "gone.tif"})
        np.testing.assert_array_equal(found.coords, coords / 0.5)


def test_clam_s_features_become_stamp_s_by_the_scale_that_the_slides_say(preparation, table_source, scripts, tmp_path):
    """CLAM's files say no µm per pixel, and nor does the table: the slides do."""
    features = tmp_path / "features"
    features.mkdir()
    coords = np.array([[0, 64], [128, 64]])
    for number in range(8):
        with h5py.File(features / f"s{number}.h5", "w") as file:
            file["features"], file["coords"] = np.ones((2, 3), dtype=np.float32), coords
            file["coords"].attrs.update({"patch_size": 64, "patch_level": 0})
    settings = {"features": str(features), "feature_layouts": ["stamp"]}
    preparation(**settings)(table_source, tmp_path / "out", progress=False)
    with h5py.File(tmp_path / "out" / "features_stamp" / "s3.h5", "r") as file:
        np.testing.assert_allclose(file["coords"][:], coords * 0.5)
        assert (file.attrs["tile_size_um"], file.attrs["tile_size_px"]) == (32.0, 64)


def test_clam_s_folder_is_taken_as_its_files_are(preparation, scripts, table_source, tmp_path):
    preparation(feature_layouts=["clam"])(table_source, tmp_path / "own", progress=False)
    folder = tmp_path / "own" / "features_clam"
    found = {}
    for name, given in (("folder", folder), ("files", folder / "h5_files")):
        preparation(features=str(given))(table_source, tmp_path / name, progress=False)
        found[name] = {key: record["features"] for key, (_, record) in prepared_records(tmp_path / name).items()}
    assert found["folder"] == found["files"]
    assert sorted(found["folder"]) == [f"s{number}" for number in range(8)]
    network = scripts("networks").assemble("mean_embedding", in_features=4, embedding=2)
    load = scripts("feature_bags").LoadFeatureBagd()
    records = scripts("inference_data").inference_records(folder, network, load)
    assert {record["id"]: record["features"] for record in records} == found["folder"]
