"""Answers are what the stations' files say, number by number."""

from __future__ import annotations

import json

import pytest

from shared.serving.answer import explanations, predictions, refusals


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def test_one_row_of_classes(tmp_path):
    header = "id,logit_a,logit_b,probability_a,probability_b,prediction,confidence,decision,reason,source,outlier_score"
    write(tmp_path, "predictions.csv", f"{header}\nk1.npy,-0.1,-2.5,0.9,0.1,a,0.8,accept,,x.npy,\n")
    assert predictions(tmp_path, ["a", "b"], False) == {
        "k1": [
            {
                "probabilities": {"a": 0.9, "b": 0.1},
                "prediction": "a",
                "confidence": 0.8,
                "decision": "accept",
                "reason": "",
                "alarm": False,
                "further": {"logit_a": -0.1, "logit_b": -2.5, "outlier_score": None},
            }
        ]
    }


def test_an_alarm_wherever_a_person_must_look(tmp_path):
    header = "id,probability_a,probability_b,prediction,confidence,decision,reason"
    rows = "k1,0.6,0.4,a,0.2,defer,unsure\nk2,0.5,0.5,a,0.0,reject,too low\nk2,0.9,0.1,a,0.8,accept,\n"
    write(tmp_path, "predictions.csv", f"{header}\n{rows}")
    found = predictions(tmp_path, ["a", "b"], False)
    assert [(row["alarm"], row["reason"]) for row in found["k1"]] == [(True, "unsure")]
    assert [row["alarm"] for row in found["k2"]] == [True, False]


def test_one_row_of_findings(tmp_path):
    columns = ("probability", "prediction", "confidence", "decision", "reason", "alarm", "prediction_after_alarm")
    values = {
        "a": ("0.7", "1", "0.4", "defer", "maps alike", "1", "0"),
        "b": ("0.2", "0", "0.6", "accept", "", "0", "0"),
    }
    header = ",".join(f"{column}_{name}" for name in values for column in columns)
    write(tmp_path, "predictions.csv", f"id,reason,distinctiveness_a,{header}\n"
          f"k.png,a: maps alike,inf,{','.join(value for row in values.values() for value in row)}\n")  # fmt: skip
    (row,) = predictions(tmp_path, ["a", "b"], True)["k"]
    assert row["probabilities"] == {"a": 0.7, "b": 0.2}
    assert row["prediction"] == {"a": 1, "b": 0}
    assert row["prediction_after_alarm"] == {"a": 0, "b": 0}
    assert row["alarm"] == {"a": True, "b": False}
    assert row["decision"] == {"a": "defer", "b": "accept"}
    assert row["reason"] == {"a": "maps alike", "b": ""}
    assert row["further"] == {"distinctiveness_a": None}, "JSON has no infinity"


def test_why_something_was_left_out(tmp_path):
    assert refusals(tmp_path) == {}
    write(tmp_path, "excluded.csv", "source,item,reason,what\nk1.png,crop,cut short,cell\nx,k2,no age,patient\n")
    found = refusals(tmp_path)
    assert (found["k1"], found["k2"]) == ("cut short", "no age")


@pytest.fixture
def explained(tmp_path):
    """Write an index with one sample, and files that it lists."""

    def make(sample, *files):
        for name in files:
            write(tmp_path, name, "{}" if name.endswith("json") else "content")
        write(tmp_path, "explanations/index.json", {"samples": [{"target": "a", "methods": {}, **sample}]})
        return explanations(tmp_path, "lrp")[0]

    return make


def test_the_files_of_an_image(explained, tmp_path):
    methods = {"lrp": {"overlay_png": "e/o.png", "nifti": "e/m.nii.gz", "limit": 0.1, "quality": {}}, "lime": {}}
    entry = explained({"methods": methods, "image_png": "e/i.png"}, "e/o.png", "e/i.png")
    # only files that are there
    assert entry == {
        "method": "lrp",
        "target_class": "a",
        "files": {"overlay_png": str(tmp_path / "e/o.png"), "image_png": str(tmp_path / "e/i.png")},
    }


def test_the_cells_of_a_patient(explained, tmp_path):
    cell = {"id": "c.jpg", "rank": 1, "value": 0.5, "overlay_png": "e/c.png", "nifti": "e/c.nii.gz"}
    bag = {
        "instances_csv": "e/t.csv",
        "shapley": {"whole": 2.0},
        "highest": [cell],
        "lowest": [],
        "experts": {"gate": 1},
    }
    entry = explained({"bag": bag}, "e/c.png", "e/t.csv")
    assert entry["files"] == {"overlay_png": str(tmp_path / "e/c.png"), "instances_csv": str(tmp_path / "e/t.csv")}
    assert entry["highest"] == [{"id": "c.jpg", "rank": 1, "value": 0.5}]
    assert (entry["shapley"], entry["experts"]) == ({"whole": 2.0}, {"gate": 1})


def test_the_heat_map_of_a_slide(explained):
    tile = {"id": "tile 1", "value": 0.1, "x": 0, "y": 128, "image_png": "e/t.png"}
    slide = {"tiles": 4, "tile_size_px": 128, "size_px": [9, 9], "mpp": 1.0, "ranked_by": "lrp", "missing": []}
    slide |= {"thumbnail_png": "e/s.png", "highest": [tile]}
    methods = {"lrp": {"geojson": "e/h.geojson", "tiff": "e/h.tif"}}
    entry = explained({"slide": slide, "methods": methods}, "e/h.geojson", "e/h.tif", "e/s.png")
    assert set(entry["files"]) == {"geojson", "tiff", "thumbnail_png"}
    assert entry["geojson"] == {}
    assert (entry["tiles"], entry["highest"][0]["y"]) == (4, 128)
    assert "image_png" not in entry["highest"][0]
