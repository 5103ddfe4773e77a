"""Slides whose name is not theirs alone are left out and told, and how to name an encoder is told as it works."""

from __future__ import annotations

import json
import re
import shutil

import pandas as pd
import pytest

from shared.commands.overrides import parse_overrides
from shared.data.errors import DataError

SETTINGS = {"network": {"block_inplanes": [2, 2, 2, 4]}, "tile_size": 64, "readers": 0}


@pytest.fixture
def infer(scripts, tmp_path):
    """The records of a folder, and what was left out, by the file."""
    network = scripts("networks").assemble("mean_embedding", in_features=4, embedding=2)
    load = scripts("feature_bags").LoadFeatureBagd()

    def records(source, calibration_file=None, **overrides):
        output = tmp_path / "output"
        found = scripts("inference_data").inference_records(
            source,
            network,
            load,
            output_dir=output,
            prepare_overrides={**SETTINGS, **overrides},
            calibration_file=calibration_file,
        )
        return found, pd.read_csv(output / "excluded.csv", dtype=str).set_index("source")

    return records


def test_of_slides_and_features_with_one_name_none_is_judged(infer, write_stained, tmp_path):
    source, features = tmp_path / "slides", tmp_path / "features"
    for seed, name in enumerate(("case.tif", "case.tiff", "other.tif")):
        write_stained(source / name, (512, 448), (64, 64, 448, 384), seed=seed)
    found, excluded = infer(source)
    assert [record["id"] for record in found] == ["other"]
    files = [str(source / name) for name in ("case.tif", "case.tiff")]
    assert excluded["item"].to_dict() == dict.fromkeys(files, "case")
    expected = f"the name 'case' is that of {files[0]} and {files[1]}; rename or take out all but one of them"
    assert set(excluded["reason"]) == {expected}
    features.mkdir()
    for name in ("case.h5", "case.hdf5", "other.h5"):
        shutil.copy(found[0]["features"], features / name)
    found, excluded = infer(features)
    assert [record["id"] for record in found] == ["other"]
    assert sorted(excluded.index) == [str(features / name) for name in ("case.h5", "case.hdf5")]


@pytest.mark.parametrize("alone", [True, False], ids=["one slide", "folder"])
def test_a_slide_without_scale_is_judged_as_the_refusal_tells(infer, scripts, write_stained, tmp_path, alone):
    file = write_stained(tmp_path / "slides" / "case.tif", (512, 448), (64, 64, 448, 384), mpp=None)
    source = file if alone else file.parent
    # a scale that the calibrated data were given says nothing of other slides
    recorded = tmp_path / "calibration.json"
    recorded.write_text(json.dumps({"prepared_with": {"table": {"mpp": 0.25}}}))
    with pytest.raises(DataError, match=r"does not say its µm per pixel") as refusal:
        infer(source, recorded)
    option = re.search(r"(--prepare_overrides#slide_mpp) 0\.25 in inferring and explaining", str(refusal.value))[1]
    given = parse_overrides([option, "0.5"])
    assert given == {"prepare_overrides#slide_mpp": 0.5}
    found, excluded = infer(source, recorded, slide_mpp=0.5)
    assert [(record["id"], record["mpp"]) for record in found] == [("case", 0.5)]
    assert excluded.empty
    bag = scripts("feature_layouts").read_features(found[0]["features"])
    assert (bag.attributes.slide_mpp, bag.attributes.level0_tile_size) == (0.5, 64)


def test_the_form_that_names_another_network_is_one_that_works(scripts):
    """What the refusal tells to type, read as a command line reads it, changes the one argument and no other."""
    inference = scripts("inference_data")
    small = inference.slide_extraction(scripts("feature_kind").FeatureKind(), overrides=SETTINGS)
    kind = scripts("feature_kind").FeatureKind(4)
    known = {"encoder": small.encoder.name, "encoder_sha256": small.encoder.sha256, "mpp": 0.5, "tile_size": 256}
    kind.set(scripts("feature_file").FeatureAttributes(slide_id="", **known))
    with pytest.raises(DataError, match="--prepare_overrides#weights FILE") as refusal:
        inference.slide_extraction(kind)
    told = str(refusal.value).split('--prepare_overrides "')[1].split('"')[0]
    given = parse_overrides(["--prepare_overrides", told])["prepare_overrides"]
    assert given.pop("weights") == "FILE"
    assert list(given["network"]) == ["block_inplanes"]
    given["network"]["block_inplanes"] = SETTINGS["network"]["block_inplanes"]
    assert inference.slide_extraction(kind, overrides=given).encoder.sha256 == small.encoder.sha256


def test_slides_that_are_refused_get_no_features(scripts, write_stained, tmp_path):
    write_stained(tmp_path / "slides" / "case.tif", (512, 448), (64, 64, 448, 384), seed=0)
    network = scripts("networks").assemble("mean_embedding", in_features=4, embedding=2)
    load, asked = scripts("feature_bags").LoadFeatureBagd(), []

    def refuse(ids):
        asked.extend(ids)
        raise DataError("not these")

    with pytest.raises(DataError, match="not these"):
        scripts("inference_data").inference_records(
            tmp_path / "slides",
            network,
            load,
            output_dir=tmp_path / "output",
            prepare_overrides=SETTINGS,
            check=refuse,
        )
    assert asked == ["case"]
    assert not (tmp_path / "output").exists()
