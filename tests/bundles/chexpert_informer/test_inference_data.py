"""Whatever a user points at becomes records; what cannot be used is left out with the reason, and the rest goes on."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shared.data.errors import DataError


@pytest.fixture
def records(bundle_scripts):
    return bundle_scripts("chexpert_informer")("inference_data").inference_records


def picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 48), dtype=np.uint8)).save(path)
    return path


def reasons(folder):
    return pd.read_csv(folder / "excluded.csv").set_index("item")["reason"]


def test_a_prepared_section_goes_on_without_its_broken_image(records, tmp_path):
    picture(tmp_path / "a.png")
    listed = [{"id": "a", "image": "a.png", "label": [0, 1, None, 0, 0]}, {"id": "b", "image": "b.png"}]
    (tmp_path / "datalist.json").write_text(json.dumps({"classes": ["x"] * 5, "test": listed}))
    found = records(tmp_path, output_dir=tmp_path / "out")
    assert [record["id"] for record in found] == ["a"]
    assert "no such file" in reasons(tmp_path / "out")["b"]


def test_pictures_of_any_depth_and_a_single_one(records, tmp_path):
    picture(tmp_path / "in" / "first.png", 1)
    picture(tmp_path / "in" / "ward" / "second.jpg", 2)
    (tmp_path / "in" / "notes.txt").write_text("nothing")
    (tmp_path / "in" / "cut.png").write_bytes(b"\x89PNG\r\n")
    found = records(tmp_path / "in", output_dir=tmp_path / "out")
    assert [record["id"] for record in found] == ["first.png", "ward/second.jpg"]
    assert "cut.png" in reasons(tmp_path / "out").index
    (one,) = records(tmp_path / "in" / "first.png")
    assert one["image"] == found[0]["image"]


def test_an_image_that_is_there_twice_counts_once(records, tmp_path):
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "b.png")
    assert [record["id"] for record in records(tmp_path / "in", output_dir=tmp_path / "out")] == ["a.png"]
    assert "repeats a.png" in reasons(tmp_path / "out")["b.png"]


def test_of_a_layout_labels_need_not_be_known(records, tmp_path):
    root = tmp_path / "chexpert"
    rows = []
    for i in range(3):
        place = f"valid/patient0000{i}/study1/view1_{'lateral' if i == 2 else 'frontal'}.jpg"
        picture(root / place, i)
        rows.append({"Path": f"CheXpert-v1.0-small/{place}", "Sex": "Female", "Age": 50, "AP/PA": "PA"})
        rows[-1] |= {"Frontal/Lateral": "Lateral" if i == 2 else "Frontal", "Edema": -1 if i == 0 else ""}
        rows[-1] |= dict.fromkeys(("Cardiomegaly", "Consolidation", "Atelectasis", "Pleural Effusion"), "")
    pd.DataFrame(rows).to_csv(root / "valid.csv", index=False)
    found = records(
        root, prepare_overrides={"uncertain": "exclude", "without_finding": "exclude_patients", "workers": 1}
    )
    assert [record["patient"] for record in found] == ["patient00000", "patient00001"]


def test_what_cannot_be_used_at_all_is_an_error(records, tmp_path):
    with pytest.raises(DataError, match="found nothing, expected"):
        records(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image to infer on"):
        records(tmp_path / "empty")
    with pytest.raises(DataError, match=r"prepare_overrides: .*did you mean 'uncertain'"):
        records(tmp_path / "empty", prepare_overrides={"uncertan": "mask"})
