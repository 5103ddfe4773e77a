"""Files of the phantom chests: CheXpert's layout, the same for the same seed, prepared by the bundle's config."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from monai.bundle import ConfigParser
from PIL import Image

from shared.data.datalist import load_section
from tests.bundles.chexpert_informer.conftest import FINDINGS


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture
def write(scripts, tmp_path):
    def run(name, **arguments):
        settings = {"patients": {"train": 8, "valid": 4, "test": 4}, "image_size": 48, "progress": False}
        return scripts("phantom").write_chests(tmp_path / name, **{**settings, **arguments})

    return run


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_files_are_those_of_the_seed_in_however_many_processes(write):
    one = files_of(write("one", seed=3))
    assert files_of(write("two", seed=3, workers=2)) == one
    other = files_of(write("three", seed=4))
    assert not any(other.get(path) == content for path, content in one.items())


@pytest.mark.parametrize("image_format", ["jpg", "png"])
def test_files_hold_what_was_drawn_in_chexperts_layout(write, patients, render, scripts, image_format):
    folder = write("chests", seed=2, image_format=image_format, studies=2)
    drawn = patients.sample_studies({"train": 8, "valid": 4, "test": 4}, seed=2, studies=2)
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in ("train", "valid", "test")}
    assert list(tables["train"].columns) == [
        "Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *scripts("phantom").OBSERVATIONS
    ]  # fmt: skip
    assert [len(table) for table in tables.values()] == [16, 8, 8]
    known = pd.read_csv(folder / "phantom.csv").set_index("Path")
    titles = ["Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion"]
    for study in drawn:
        path = f"CheXpert-v1.0-small/{study.place}/view1_frontal.{image_format}"
        row = tables[study.table].set_index("Path").loc[path]
        np.testing.assert_array_equal(row[titles].to_numpy(float), study.codes)
        assert (row["Sex"], row["AP/PA"]) == ({"F": "Female", "M": "Male"}[study.sex], study.view)
        assert known.loc[path, list(FINDINGS)].tolist() == list(study.present)
        assert known.loc[path, "extent_edema"] == pytest.approx(study.extents[3], abs=1e-4)
    film, truth = render(drawn[5], 2, 48)
    place = folder / f"{drawn[5].place}/view1_frontal.{image_format}"
    stored = np.asarray(Image.open(place)).astype(float)
    assert np.abs(stored - film).mean() <= (0 if image_format == "png" else 4)
    np.testing.assert_array_equal(
        np.asarray(Image.open(folder / "truth" / f"{drawn[5].place}/view1_frontal.png")), truth
    )


def test_phantoms_are_prepared_by_the_bundles_config(write, repository, tmp_path, bits):
    folder = write("chests", seed=1, patients={"train": 30, "valid": 12, "test": 12})
    file = repository / "bundles" / "chexpert_informer" / "configs" / "prepare.json"
    parser = ConfigParser(ConfigParser.load_config_file(str(file)))
    parser.update({"workers": 1})
    parser.get_parsed_content("prepare")(folder, tmp_path / "data", progress=False)
    assert not pd.read_csv(tmp_path / "data" / "excluded.csv").size
    known = pd.read_csv(folder / "phantom.csv")
    known.index = known["Path"].str.extract(r"(patient\d+)/(study\d+)/(view1_frontal)").agg("_".join, axis=1)
    seen = 0
    for section in ("training", "validation", "test"):
        for record in load_section(tmp_path / "data" / "datalist.json", section):
            truth = np.asarray(Image.open(record["truth"]))
            for index, name in enumerate(FINDINGS):
                assert bits.decode(truth, name).any() == known.loc[record["id"], name]
                if section != "training":
                    assert record["label"][index] == known.loc[record["id"], name]
            assert bits.decode(truth, "marker").any() == known.loc[record["id"], "marker"]
            seen += 1
    assert seen == 54


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "distractor"}, r"choose one of \['plain', 'shortcut'\]"),
        ({"image_format": "bmp"}, "image_format must be jpg or png"),
        ({"patients": {"training": 4}}, "no table is called 'training'"),
        ({"parameters": {"kinds": {"oedema": {}}}}, "no parameter is called 'oedema'"),
        ({"parameters": {"kinds": {"edema": {"prevalence": 0.0}}}}, "each prevalence must lie between 0 and 1"),
        ({"parameters": {"log_odds": {"edema+edema": 1}}}, "'edema\\+edema' does not join two"),
        ({"parameters": {"shortcut": {"finding": "fracture"}}}, "no finding is called 'fracture'"),
    ],
)
def test_wrong_settings(write, arguments, message):
    with pytest.raises(ValueError, match=message):
        write("chests", **arguments)
