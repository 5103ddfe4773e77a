"""The whole way from each source layout to features and a datalist, with everything that can be wrong on it."""

from __future__ import annotations

import re
import shlex

import h5py
import numpy as np
import pandas as pd
import pytest
from monai.bundle import ConfigParser

from shared.commands.overrides import parse_overrides
from shared.data.datalist import load_section, read_datalist
from shared.data.errors import DataError

SECTIONS = ("training", "validation", "test")
PATHS = ("slide", "features", "annotation")
HALVES = {"training": 0.5, "validation": 0.25, "test": 0.25}


@pytest.fixture(scope="module")
def preparation(scripts, repository):
    """A component of the bundle's own config, on small tiles, read in this process."""
    scripts("prepare")
    file = repository / "bundles" / "camelyon_attmil" / "configs" / "prepare.json"

    def build(component="prepare", **overrides):
        parser = ConfigParser(ConfigParser.load_config_file(str(file)))
        small = {
            "readers": 0,
            "workers": 1,
            "tile_size": 64,
            "network#block_inplanes": [2, 2, 2, 4],
            "fractions": HALVES,
        }
        parser.update({**small, **overrides})
        return parser.get_parsed_content(component)

    return build


@pytest.fixture(scope="module")
def table_source(write_stained, tmp_path_factory):
    """Eight slides with a table."""
    root = tmp_path_factory.mktemp("source")
    rows = []
    for number in range(8):
        write_stained(root / "slides" / f"s{number}.tif", (512, 448), (64, 64, 448, 384), seed=number)
        rows.append(
            {"slide": f"slides/s{number}.tif", "label": ["normal", "tumor"][number % 2], "patient": f"p{number}"}
        )
    pd.DataFrame(rows).to_csv(root / "slides.csv", index=False)
    return root


def _change(source, target, change):
    """Copy a source by links, with its table changed."""
    (target / "slides").mkdir(parents=True)
    for path in (source / "slides").iterdir():
        (target / "slides" / path.name).symlink_to(path)
    table = pd.read_csv(source / "slides.csv", dtype=str)
    table = change(table)
    table.to_csv(target / "slides.csv", index=False)
    return target


def _records(output):
    return {
        record["id"]: (name, record)
        for name in (*SECTIONS, "unlabelled")
        for record in load_section(output / "datalist.json", name, PATHS)
    }


def _reasons(output):
    return pd.read_csv(output / "excluded.csv", dtype=str).set_index("item")["reason"].to_dict()


def test_a_table_of_slides(preparation, scripts, table_source, tmp_path):
    summary = preparation()(table_source, tmp_path, progress=False)
    records = _records(tmp_path)
    assert sorted(records) == [f"s{number}" for number in range(8)]
    assert {name for name, _ in records.values()} == set(SECTIONS)
    for _, record in records.values():
        bag = scripts("feature_layouts").read_features(record["features"])
        assert bag.features.shape == (record["tiles"], 4)
        assert bag.attributes.slide_id == record["id"]
        assert np.isnan(bag.tile_label).all() == (record["label"] == 1)
    content = read_datalist(tmp_path / "datalist.json")
    assert content["classes"] == ["normal", "tumour"]
    assert content["training"][0]["features"].startswith("features/")
    assert "published" not in content["training"][0]
    assert content["info"]["prepared_with"]["features"]["tile_size"] == 64
    assert "mean tiles" in str(summary)
    again = preparation()(table_source, tmp_path, progress=False)
    assert again.reused


def test_other_settings_need_to_be_asked_for(preparation, table_source, tmp_path):
    preparation()(table_source, tmp_path, progress=False)
    with pytest.raises(DataError, match=r"features\.tile_size 64 → 32"):
        preparation(tile_size=32)(table_source, tmp_path, progress=False)
    preparation(tile_size=32)(table_source, tmp_path, overwrite=True, progress=False)
    assert load_section(tmp_path / "datalist.json", "test", PATHS)[0]["tiles"] > 20


def test_camelyon16(preparation, scripts, tmp_path):
    parameters = {
        "lesions": {"micro": {"mean": 240, "std": 10, "low": 220, "high": 260}},
        "artefacts": {"pale_slide": 0.0},
    }
    scripts("phantom").write_slides(
        tmp_path / "source", slides={"normal": 3, "tumor": 3, "test": 3}, kinds=["micro"], size=(640, 576), mpp=1.0,
        parameters=parameters, progress=False,
    )  # fmt: skip
    (tmp_path / "source" / "training" / "lesion_annotations" / "tumor_002.xml").unlink()
    preparation(mpp=1.0)(tmp_path / "source", tmp_path / "out", progress=False)
    records = _records(tmp_path / "out")
    assert {name for name, (section, _) in records.items() if section == "test"} == {"test_001", "test_002", "test_003"}
    assert {section for name, (section, _) in records.items() if name[:4] != "test"} == {"training", "validation"}
    for name in ("tumor_001", "tumor_002", "normal_001"):
        record = records[name][1]
        labels = scripts("feature_layouts").read_features(record["features"]).tile_label
        assert record["label"] == int(name.startswith("tumor"))
        assert ("annotation" in record) == (name == "tumor_001")
        assert np.isnan(labels).all() == (name == "tumor_002")
        assert (np.nansum(labels) > 0.5) == (name == "tumor_001")


def test_what_camelyon16_says_of_its_own_slides(preparation, scripts, write_stained, tmp_path):
    """The label of a partly outlined slide counts, its tiles outside of the outlines are not known; others are out."""
    annotations = scripts("annotations")
    square = np.array([[64, 64], [192, 64], [192, 192], [64, 192]], dtype=float)
    outline = annotations.Annotation((annotations.Outline("_0", "_0", square),))
    training = [f"normal/normal_{number:03d}" for number in (1, 2, 85, 86)]
    training += [f"tumor/{name}" for name in ("tumor_009", "tumor_010", "Tumor_018", "tumor_037", "tumor_110")]
    tests = {"test_001": "Normal", "test_049": "Normal", "test_114": "Tumor"}
    for place in [f"training/{name}" for name in training] + [f"testing/images/{name}" for name in tests]:
        write_stained(tmp_path / f"{place}.tif", (512, 448), (64, 64, 448, 384))
        folder, _, name = place.rpartition("/")
        if name[0].lower() == "t":
            annotations.write_asap(tmp_path / folder.split("/")[0] / "lesion_annotations" / f"{name}.xml", outline)
    reference = "".join(f"{name},{label}\n" for name, label in tests.items() if name != "test_049")
    (tmp_path / "testing" / "reference.csv").write_text(reference)
    preparation()(tmp_path, tmp_path / "out", progress=False)
    records = {name: record for name, (_, record) in _records(tmp_path / "out").items()}
    partly = {"tumor_010", "Tumor_018", "tumor_110", "test_114"}
    assert set(records) == {"normal_001", "normal_002", "normal_085", "tumor_009", "tumor_037", "test_001", *partly}
    assert {name for name, record in records.items() if record.get("partly_annotated")} == partly
    for name, record in records.items():
        assert record["label"] == int(name[:2].lower() == "tu" or name == "test_114")
        labels = scripts("feature_layouts").read_features(record["features"]).tile_label
        assert np.nansum(labels) == (4 if record["label"] else 0)
        assert np.isnan(labels).any() == (name in partly)
    reasons = _reasons(tmp_path / "out")
    assert "published again as tumor_111" in reasons["normal_086"]
    assert "repeats another slide" in reasons["test_049"]
    # phantoms have the same names, and all of their tumour is outlined
    (tmp_path / "phantom.csv").write_text("slide,kind\n")
    slides, _ = scripts("camelyon16_layout").Camelyon16Layout().read(tmp_path)
    assert not any(slide.partly_annotated for slide in slides)
    assert "normal_086" in {slide.identity for slide in slides}


def test_a_table_says_what_is_partly_annotated(preparation, scripts, table_source, tmp_path):
    said = ["1", "", "0", "yes", "no", "", "perhaps", ""]
    source = _change(table_source, tmp_path / "source", lambda table: table.assign(partly_annotated=said))
    slides, excluded = preparation("table").read(source)
    assert [slide.identity for slide in slides if slide.partly_annotated] == ["s0", "s3"]
    assert [item.item for item in excluded] == ["s6"]
    assert "partly_annotated 'perhaps', expected 1, 0 or nothing" in excluded[0].reason


def test_the_scale_of_a_row_counts_before_that_of_all(preparation, table_source, tmp_path):
    said = ["0.3", "0", "", "-1", "nan", "wide", "inf", " 0.4 "]
    source = _change(table_source, tmp_path / "source", lambda table: table.assign(mpp=said))
    slides, excluded = preparation("table", slide_mpp=0.25).read(source)
    assert {slide.identity: slide.mpp for slide in slides} == {"s0": 0.3, "s2": 0.25, "s7": 0.4}
    reasons = {item.item: item.reason for item in excluded}
    assert sorted(reasons) == ["s1", "s3", "s4", "s5", "s6"]
    assert reasons["s1"].startswith("mpp '0', expected µm per pixel as a number above 0")
    with pytest.raises(RuntimeError) as caught:
        preparation("table", slide_mpp=0)
    assert str(caught.value.__cause__) == "slide_mpp: found 0, expected a number above 0, or null"


def test_camelyon16_without_reference_or_row(preparation, scripts, write_stained, tmp_path):
    for name in ("testing/images/test_001", "testing/images/test_002", "training/normal/normal_001"):
        write_stained(tmp_path / f"{name}.tif", (512, 448), (64, 64, 448, 384))
    with pytest.raises(DataError, match=r"reference\.csv: no such file"):
        preparation()(tmp_path, tmp_path / "out", progress=False)
    (tmp_path / "testing" / "reference.csv").write_text("image,class,type,metastasis\ntest_001,Tumor,IDC,Micro\n")
    # cut off while it was written
    (tmp_path / "training" / "normal" / ".normal_009-x7.tif").write_bytes(b"II*")
    slides, excluded = scripts("camelyon16_layout").Camelyon16Layout().read(tmp_path)
    found = [(slide.identity, slide.label, slide.kind) for slide in slides]
    assert found == [("normal_001", 0, None), ("test_001", 1, "micro")]
    assert [item.item for item in excluded] == ["test_002"]
    (tmp_path / "testing" / "reference.csv").write_text("test_001,Tumor\ntest_002,benign\n")
    with pytest.raises(DataError, match="row 2 has the class 'benign'"):
        scripts("camelyon16_layout").Camelyon16Layout().read(tmp_path)


def test_camelyon16_s_slides_of_one_name_are_left_out(scripts, tmp_path):
    for name in ("normal/normal_001.tif", "normal/normal_001.svs", "tumor/tumor_001.tif"):
        (tmp_path / "training" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "training" / name).touch()
    slides, excluded = scripts("camelyon16_layout").Camelyon16Layout().read(tmp_path)
    assert [slide.identity for slide in slides] == ["tumor_001"]
    names = [f"training/normal/normal_001.{suffix}" for suffix in ("svs", "tif")]
    assert [item.source for item in excluded] == names
    assert all(" and ".join(names) in item.reason for item in excluded)


def test_what_cannot_be_used_is_listed_and_the_rest_prepared(preparation, table_source, write_stained, tmp_path):
    def change(table):
        bad = [
            {"slide": "slides/none.tif", "label": "tumor", "patient": "a"},
            {"slide": "slides/cut.tif", "label": "tumor", "patient": "b"},
            {"slide": "slides/text.tif", "label": "tumor", "patient": "h"},
            {"slide": "slides/glass.tif", "label": "tumor", "patient": "c"},
            {"slide": "slides/unscaled.tif", "label": "tumor", "patient": "d"},
            {"slide": "slides/s0.tif", "label": "tumor", "patient": "e"},
            {"slide": "slides/odd.tif", "label": "maybe", "patient": "f"},
            {"slide": "slides/extra.tif", "label": "", "patient": "g"},
        ]
        return pd.concat([table, pd.DataFrame(bad)])

    source = _change(table_source, tmp_path / "source", change)
    whole = (table_source / "slides" / "s0.tif").read_bytes()
    (source / "slides" / "cut.tif").write_bytes(whole[: len(whole) // 2])
    (source / "slides" / "text.tif").write_text("not an image")
    write_stained(source / "slides" / "glass.tif", (512, 448), (0, 0, 0, 0))
    write_stained(source / "slides" / "unscaled.tif", (512, 448), (64, 64, 448, 384), mpp=None)
    write_stained(source / "slides" / "extra.tif", (512, 448), (64, 64, 448, 384))
    preparation()(source, tmp_path / "out", progress=False)
    reasons = _reasons(tmp_path / "out")
    expected = {
        "none": "no such slide", "cut": "damaged", "text": "not a slide", "glass": "no tissue",
        "unscaled": "µm per pixel",
        "s0": "taken by an earlier row", "odd": "label 'maybe'",
    }  # fmt: skip
    assert set(reasons) == set(expected)
    assert all(text in reasons[name] for name, text in expected.items())
    records = _records(tmp_path / "out")
    assert records["extra"][0] == "unlabelled"
    assert len(records) == 9
    # the scale can be given
    preparation(slide_mpp=0.5)(source, tmp_path / "given", progress=False)
    assert "unscaled" not in _reasons(tmp_path / "given")
    assert _records(tmp_path / "given")["unscaled"][1]["mpp"] == 0.5


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

    source = _change(table_source, more, drop_slides)
    halves = {"training": 0.4, "validation": 0.3, "test": 0.3}
    preparation(features=str(features), fractions=halves)(source, tmp_path / "out", progress=False)
    records = _records(tmp_path / "out")
    assert sorted(records) == [f"s{number}" for number in range(8) if number != 3]
    assert "NaN" in _reasons(tmp_path / "out")["s3"]
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
    for _, record in _records(tmp_path / "out").values():
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


def test_slides_that_cannot_be_split_are_told_before_any_is_encoded(preparation, table_source, tmp_path):
    """The fractions that the refusal tells are had by typing them."""
    sixty = {"training": 0.6, "validation": 0.2, "test": 0.2}
    source = _change(
        table_source,
        tmp_path / "source",
        lambda table: pd.concat([table, pd.DataFrame([{"slide": "slides/none.tif", "label": "tumor"}])]),
    )
    output = tmp_path / "out"
    with pytest.raises(DataError, match="found patients: 4 with normal, 4 with tumour") as refusal:
        preparation(fractions=sixty)(source, output, progress=False)
    assert "1 slide(s) cannot be used: 1 slide, e.g. slides/none.tif, none: no such file" in str(refusal.value)
    assert not output.exists()
    told = re.search(r"--fractions '(\{.*?\})'", str(refusal.value))[0]
    assert told == """--fractions '{"training": 0.5, "validation": 0.25, "test": 0.25}'"""
    report = preparation("preflight", fractions=sixty)(source, progress=False)
    assert "split: not possible: found patients: 4 with normal, 4 with tumour" in str(report)
    assert told in str(report)
    given = parse_overrides(shlex.split(told))
    assert "\nsplit: training 4, validation 2, test 2" in str(preparation("preflight", **given)(source, progress=False))
    # one that turns out to be unusable only when it is read
    file = source / "slides" / "s0.tif"
    file.unlink()
    file.write_text("not an image")
    four = dict.fromkeys((*SECTIONS, "calibration"), 0.25)
    with pytest.raises(
        DataError, match=r"class normal occurs in 3 patient\(s\) only.*; 2 slide\(s\) were left out, see "
    ):
        preparation(fractions=four)(source, output, progress=False)
    assert len(pd.read_csv(output / "excluded.csv")) == 2
    # what was prepared before stays where it is
    preparation(fractions=HALVES)(table_source, tmp_path / "kept", progress=False)
    with pytest.raises(DataError, match="4 with normal"):
        preparation(fractions=sixty)(table_source, tmp_path / "kept", overwrite=True, progress=False)
    assert len(_records(tmp_path / "kept")) == 8


def test_the_fractions_that_are_told_name_the_published_section_and_the_calibration_share(scripts):
    split = scripts("slide_split").SlideSplit
    test = [{"id": "t", "patient": "t", "label": 1, "published": "test"}]
    slides = [*test, *({"id": f"{n}", "patient": f"{n}", "label": n % 2, "published": None} for n in range(6))]
    fractions = {"training": 0.72, "validation": 0.08, "test": 0.2}
    with pytest.raises(DataError, match="none of 4096 seeded shuffles") as refusal:
        split(["normal", "tumour"], fractions)(slides)
    told = parse_overrides(shlex.split(re.search(r"--fractions '.*?'", str(refusal.value))[0]))["fractions"]
    assert told == {"training": 0.4, "validation": 0.4, "test": 0.2}
    found = split(["normal", "tumour"], told)(slides)
    assert [record["id"] for record in found["test"]] == ["t"]
    assert all({record["label"] for record in found[name]} == {0, 1} for name in ("training", "validation"))
    with pytest.raises(DataError, match=r"'\{.*\}' --calibration_share 0 makes it possible"):
        split(["normal", "tumour"], {"training": 0.9, "calibration": 0.1})(slides[1:])


def test_unreadable_tiles_of_a_slide_are_one_line(
    preparation, scripts, table_source, write_stained, spoil_tiles, tmp_path
):
    source = _change(table_source, tmp_path / "source", lambda table: table)
    (source / "slides" / "s3.tif").unlink()
    spoil_tiles(write_stained(source / "slides" / "s3.tif"), [(1, 1)])
    summary = preparation(**{"extraction#broken_share": 0.9})(source, tmp_path / "out", progress=False)
    table = pd.read_csv(tmp_path / "out" / "excluded.csv", dtype=str)
    assert (table["item"].tolist(), table["source"].tolist()) == (["s3"], ["slides/s3.tif"])
    tiles = _records(tmp_path / "out")["s3"][1]["tiles"]
    assert tiles > 16
    assert table["reason"][0].startswith(f"16 of {tiles + 16} tiles cannot be read, the first at x 256, y 256: ")
    assert "left out: 1 part of a slide (" in str(summary)
    # slides to infer on
    recorded = scripts("inference_data").inference_records(
        source / "slides" / "s3.tif",
        scripts("networks").assemble("mean_embedding", in_features=4, embedding=2),
        scripts("feature_bags").LoadFeatureBagd(),
        output_dir=tmp_path / "inferred",
        prepare_overrides={
            "network": {"block_inplanes": [2, 2, 2, 4]}, "tile_size": 64, "readers": 0,
            "extraction": {"broken_share": 0.9},
        },
    )  # fmt: skip
    assert [record["id"] for record in recorded] == ["s3"]
    inferred = pd.read_csv(tmp_path / "inferred" / "excluded.csv", dtype=str)
    assert inferred[["item", "reason"]].equals(table[["item", "reason"]])


def test_clam_s_folder_is_taken_as_its_files_are(preparation, scripts, table_source, tmp_path):
    preparation(feature_layouts=["clam"])(table_source, tmp_path / "own", progress=False)
    folder = tmp_path / "own" / "features_clam"
    found = {}
    for name, given in (("folder", folder), ("files", folder / "h5_files")):
        preparation(features=str(given))(table_source, tmp_path / name, progress=False)
        found[name] = {key: record["features"] for key, (_, record) in _records(tmp_path / name).items()}
    assert found["folder"] == found["files"]
    assert sorted(found["folder"]) == [f"s{number}" for number in range(8)]
    network = scripts("networks").assemble("mean_embedding", in_features=4, embedding=2)
    load = scripts("feature_bags").LoadFeatureBagd()
    records = scripts("inference_data").inference_records(folder, network, load)
    assert {record["id"]: record["features"] for record in records} == found["folder"]


def test_slides_of_one_patient_stay_together(preparation, table_source, tmp_path):
    source = _change(
        table_source, tmp_path / "source", lambda table: table.assign(patient=[f"p{n // 2}" for n in range(8)])
    )
    preparation()(source, tmp_path / "out", progress=False)
    sections = {}
    for section, record in _records(tmp_path / "out").values():
        sections.setdefault(record["patient"], set()).add(section)
    assert all(len(of_patient) == 1 for of_patient in sections.values())


@pytest.mark.parametrize("component", ["extraction", "preflight"])
@pytest.mark.parametrize(
    ("name", "value"), [("tile_size", 0), ("mpp", float("nan")), ("mpp", "nan"), ("mpp", 0), ("mpp", -1), ("stride", 0)]
)
def test_numbers_that_cannot_be_are_refused_before_a_slide_is_read(preparation, component, name, value):
    with pytest.raises(RuntimeError) as caught:
        preparation(component, **{name: value})
    assert isinstance(caught.value.__cause__, DataError)
    assert f"{name}: found {value!r}, expected a " in str(caught.value.__cause__)


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("readers", -1)])
def test_how_many_are_read_and_encoded_at_once_is_at_least_one_or_none(preparation, scripts, name, value):
    extraction = scripts("feature_extraction").FeatureExtraction
    with pytest.raises(DataError, match=f"^{name}: found {value}, expected a whole number of at least"):
        extraction(preparation("encoder"), **{name: value})


def test_no_layout(preparation, tmp_path):
    with pytest.raises(DataError, match="nothing to prepare"):
        preparation()(tmp_path, tmp_path / "out", progress=False)
    with pytest.raises(DataError, match="no such folder"):
        preparation()(tmp_path / "none", tmp_path / "out", progress=False)


def test_a_table_without_labels(preparation, table_source, tmp_path):
    source = _change(table_source, tmp_path / "source", lambda table: table.drop(columns="label"))
    with pytest.raises(DataError, match=r"no column 'label'.*--table#columns#label"):
        preparation()(source, tmp_path / "out", progress=False)


@pytest.mark.parametrize("content", [b"", "slide,label\nMüller.tif,normal\n".encode("latin-1")])
def test_a_table_that_is_none(preparation, tmp_path, content):
    (tmp_path / "slides.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"slides\.csv: cannot be read as a table .*; expected CSV in UTF-8"):
        preparation()(tmp_path, tmp_path / "out", progress=False)
    (tmp_path / "testing" / "images").mkdir(parents=True)
    (tmp_path / "testing" / "images" / "test_001.tif").touch()
    (tmp_path / "slides.csv").rename(tmp_path / "testing" / "reference.csv")
    with pytest.raises(DataError, match=r"reference\.csv: cannot be read as a table"):
        preparation()(tmp_path, tmp_path / "out", progress=False)


def test_preflight(preparation, scripts, table_source, write_stained, spoil_tiles, tmp_path):
    source = _change(
        table_source,
        tmp_path / "source",
        lambda table: pd.concat(
            [
                table.assign(annotation=["a.xml", *[""] * 7]),
                pd.DataFrame([{"slide": "slides/spoilt.tif", "label": "tumor", "patient": "x", "annotation": ""}]),
            ]
        ),
    )
    spoil_tiles(write_stained(source / "slides" / "spoilt.tif", (512, 448), (64, 64, 448, 384)), [(0, 0)])
    annotations = scripts("annotations")
    triangle = annotations.Outline("_0", "_0", np.array([[10, 10], [900, 10], [10, 200.0]]))
    annotations.write_asap(source / "a.xml", annotations.Annotation((triangle,)))
    report = preparation("preflight")(source, progress=False)
    table = report.table().set_index("slide_id")
    assert table["usable"].sum() == 7
    assert "of the same slide" in table.loc["s0", "problem"]
    assert "cannot be decoded" in table.loc["spoilt", "problem"]
    good = table.loc["s1"]
    assert (good["width"], good["height"], good["tiles"]) == (512, 448, 30)
    assert good["tissue"] == pytest.approx(384 * 320 / (512 * 448), rel=0.15)
    assert "7 of 9 slides can be used, 210 tiles" in str(report)


def test_the_real_slide_end_to_end(preparation, scripts, real_slide, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "slides.csv").write_text(f"slide,label,part\n{real_slide},normal,test\n")
    # one slide cannot be divided: it is all of the section that it was published for
    for number, part in enumerate(["training"] * 4):
        with (source / "slides.csv").open("a") as file:
            file.write(f"{source / f'none{number}.svs'},{['normal', 'tumor'][number % 2]},{part}\n")
    slides, _ = preparation("table").read(source)
    state = preparation("extraction", tile_size=256).extract(slides[0], tmp_path)
    assert (state.status, state.broken) == ("done", [])
    bag = scripts("feature_layouts").read_features(tmp_path / "features" / "CMU-1-Small-Region.h5")
    assert 25 < len(bag.features) == state.tiles < 60
    assert (bag.tile_label == 0).all()
    assert (bag.coords % 256 == 0).all()
    assert bag.attributes.mpp == pytest.approx(0.499)
    assert bag.attributes.slide_size == (2220, 2967)


def test_the_encoder_of_the_settings_says_its_network_and_weights(preparation):
    encoder = preparation("encoder")
    made = "monai.networks.nets.resnet.ResNet(block='basic', layers=[1, 1, 1, 1], block_inplanes=[2, 2, 2, 4], "
    assert encoder.name.startswith(made)
    assert encoder.name.endswith(f"feed_forward=False), weights {encoder.sha256[:12]}")
    assert preparation("encoder", **{"encoder#name": "another name"}).name == "another name"


def test_slides_for_testing_alone_need_no_training_slides(preparation, table_source, tmp_path):
    """A data set of another site, on which a network is measured."""
    source = tmp_path / "source"
    source.mkdir()
    table = pd.read_csv(table_source / "slides.csv").assign(part="test")
    table["slide"] = [str(table_source / name) for name in table["slide"]]
    table[["slide", "label", "part"]].head(2).to_csv(source / "slides.csv", index=False)
    preparation()(source, tmp_path / "out", progress=False)
    content = read_datalist(tmp_path / "out" / "datalist.json")
    assert {name: len(content[name]) for name in HALVES} == {name: 2 * (name == "test") for name in HALVES}


def test_a_calibration_section_and_other_layouts(preparation, table_source, tmp_path):
    thirds = {"training": 0.5, "validation": 0.5}
    settings = {"fractions": thirds, "calibration_share": 0.5, "feature_layouts": ["stamp", "clam"], "published": False}
    preparation(**settings)(table_source, tmp_path, progress=False)
    content = read_datalist(tmp_path / "datalist.json")
    counts = {name: len(content[name]) for name in ("training", "validation", "calibration")}
    assert counts["calibration"] == counts["training"] + counts["validation"] > 0
    names = sorted(record["id"] for name in counts for record in content[name])
    assert sorted(file.stem for file in (tmp_path / "features_stamp").glob("*.h5")) == names
    assert sorted(file.stem for file in (tmp_path / "features_clam" / "pt_files").glob("*.pt")) == names
