"""The whole way from slides to features and a datalist, with everything that can be wrong on it."""

from __future__ import annotations

import pandas as pd
import pytest

from shared.data.datalist import load_section, read_datalist
from shared.data.errors import DataError
from tests.bundles.camelyon_attmil.prepared_sources import (
    PATHS,
    changed_source,
    prepared_records,
    reasons_left_out,
)


def test_other_settings_need_to_be_asked_for(preparation, table_source, tmp_path):
    preparation()(table_source, tmp_path, progress=False)
    with pytest.raises(DataError, match=r"features\.tile_size 64 → 32"):
        preparation(tile_size=32)(table_source, tmp_path, progress=False)
    preparation(tile_size=32)(table_source, tmp_path, overwrite=True, progress=False)
    assert load_section(tmp_path / "datalist.json", "test", PATHS)[0]["tiles"] > 20


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

    source = changed_source(table_source, tmp_path / "source", change)
    whole = (table_source / "slides" / "s0.tif").read_bytes()
    (source / "slides" / "cut.tif").write_bytes(whole[: len(whole) // 2])
    (source / "slides" / "text.tif").write_text("not an image")
    write_stained(source / "slides" / "glass.tif", (512, 448), (0, 0, 0, 0))
    write_stained(source / "slides" / "unscaled.tif", (512, 448), (64, 64, 448, 384), mpp=None)
    write_stained(source / "slides" / "extra.tif", (512, 448), (64, 64, 448, 384))
    preparation()(source, tmp_path / "out", progress=False)
    reasons = reasons_left_out(tmp_path / "out")
    expected = {
        "none": "no such slide", "cut": "damaged", "text": "not a slide", "glass": "no tissue",
        "unscaled": "µm per pixel",
        "s0": "taken by an earlier row", "odd": "label 'maybe'",
    }  # fmt: skip
    assert set(reasons) == set(expected)
    assert all(text in reasons[name] for name, text in expected.items())
    records = prepared_records(tmp_path / "out")
    assert records["extra"][0] == "unlabelled"
    assert len(records) == 9
    # the scale can be given
    preparation(slide_mpp=0.5)(source, tmp_path / "given", progress=False)
    assert "unscaled" not in reasons_left_out(tmp_path / "given")
    assert prepared_records(tmp_path / "given")["unscaled"][1]["mpp"] == 0.5


def test_unreadable_tiles_of_a_slide_are_one_line(
    preparation, scripts, table_source, write_stained, spoil_tiles, tmp_path
):
    source = changed_source(table_source, tmp_path / "source", lambda table: table)
    (source / "slides" / "s3.tif").unlink()
    spoil_tiles(write_stained(source / "slides" / "s3.tif"), [(1, 1)])
    summary = preparation(**{"extraction#broken_share": 0.9})(source, tmp_path / "out", progress=False)
    table = pd.read_csv(tmp_path / "out" / "excluded.csv", dtype=str)
    assert (table["item"].tolist(), table["source"].tolist()) == (["s3"], ["slides/s3.tif"])
    tiles = prepared_records(tmp_path / "out")["s3"][1]["tiles"]
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
