"""A worker process of a trained bundle: its answers are those of the bundle's commands, and nothing stops it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.bundles.commands import run as run_command
from tests.served_bundles import served_once

pytestmark = pytest.mark.slow
NAME = "leukocyte_qpi"
CLASSES = ["monocyte", "lymphocyte", "neutrophil", "eosinophil"]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return served_once(NAME, tmp_path_factory)


@pytest.fixture(scope="module")
def worker(served, start_worker):
    return start_worker(served.root)


@pytest.fixture(scope="module")
def cells(served):
    """Test cells: key, path, class."""
    records = served.records("test")[:6]
    return [(f"cell-{i}", str(served.data / record["image"]), record["label"]) for i, record in enumerate(records)]


def items(cells):
    return [{"key": key, "source": source} for key, source, _ in cells]


def test_it_says_what_it_is(worker, served):
    reply = worker.ask("check")
    assert reply["ok"]
    assert reply["id"] == 7
    assert (reply["bundle"], reply["classes"], reply["unit"]) == (NAME, CLASSES, "cell")
    calibration = json.loads((served.root / "models" / "calibration.json").read_text())
    assert reply["weights_sha256"] == calibration["weights_sha256"]
    assert reply["default_method"] in reply["methods"]
    assert {"random_map", "edge_map", "untrained"} & set(reply["methods"]) == set(), "controls explain nothing"


def test_an_answer_is_what_inferring_writes(worker, served, cells, tmp_path):
    reply = worker.ask("infer", items=items(cells[:1]), work_dir=str(tmp_path / "work"))
    answer = reply["answers"]["cell-0"]
    config = served.root / "configs" / "inference.json"
    options = ["--dataset_dir", cells[0][1], "--output_dir", str(tmp_path / "out")]
    run_command(["-m", "monai.bundle", "run", "inferring", "--config_file", str(config), *options], tmp_path)
    row = pd.read_csv(tmp_path / "out" / "predictions.csv", keep_default_na=False).iloc[0]
    assert answer["probabilities"] == {name: row[f"probability_{name}"] for name in CLASSES}
    assert {key: answer[key] for key in ("prediction", "confidence", "decision", "reason")} == {
        key: row[key] for key in ("prediction", "confidence", "decision", "reason")
    }
    assert answer["further"]["outlier_score"] == row["outlier_score"]
    assert "explanations" not in answer


def test_an_explanation_comes_with_the_same_answer(worker, cells, tmp_path):
    plain = worker.ask("infer", items=items(cells[:1]), work_dir=str(tmp_path / "a"))["answers"]["cell-0"]
    asked = {"method": "input_x_gradient", "target_class": "lymphocyte"}
    reply = worker.ask("explain", items=items(cells[:1]), work_dir=str(tmp_path / "b"), **asked)
    answer = reply["answers"]["cell-0"]
    (explanation,) = answer.pop("explanations")
    assert answer == plain
    assert (explanation["method"], explanation["target_class"]) == ("input_x_gradient", "lymphocyte")
    assert Path(explanation["files"]["overlay_png"]).read_bytes().startswith(b"\x89PNG")
    assert Path(explanation["files"]["nifti"]).is_file()


def test_the_predicted_class_is_explained_unless_another_is_named(worker, cells, tmp_path):
    reply = worker.ask("explain", items=items(cells[:1]), work_dir=str(tmp_path))
    answer = reply["answers"]["cell-0"]
    assert [entry["target_class"] for entry in answer["explanations"]] == [answer["prediction"]]


def test_one_bad_cell_among_good_ones_is_refused_with_the_reason(worker, cells, tmp_path):
    (tmp_path / "cut.npy").write_bytes(Path(cells[0][1]).read_bytes()[:200])
    asked = [*items(cells[:2]), {"key": "cut", "source": str(tmp_path / "cut.npy")}]
    reply = worker.ask("infer", items=asked, work_dir=str(tmp_path / "work"))
    assert set(reply["answers"]) == {"cell-0", "cell-1"}
    assert "cut.npy" in reply["refused"]["cut"]
    alone = worker.ask("infer", items=asked[2:], work_dir=str(tmp_path / "work"))
    assert alone["ok"]
    assert alone["answers"] == {}
    assert "cut.npy" in alone["refused"]["cut"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"method": "$__import__('os').system('touch evil')"}, "has lime, "),
        ({"method": "random_map"}, "has lime, "),
        ({"target_class": "@network"}, "has monocyte, "),
        ({"method": 3}, "expected a name"),
        ({"items": []}, "expected items"),
        ({"items": "all"}, "expected a list"),
        ({"work_dir": "relative"}, "absolute path"),
        ({"work_dir": "/nowhere/@#x"}, "reads as an expression"),
        # as Python reads a name that is no UTF-8 from a folder
        ({"items": [{"key": "a", "source": "/nowhere/\udcff.npy"}]}, "\udcff.npy: no such file"),
    ],
)
def test_what_cannot_be_answered_is_said(worker, cells, tmp_path, wrong, said):
    asked = {"items": items(cells[:1]), "work_dir": str(tmp_path), **wrong}
    reply = worker.ask("explain", **asked)
    assert not reply["ok"]
    assert reply["kind"] == "data"
    assert said in reply["error"]


def test_agreement_with_labels(worker, served, cells, tmp_path):
    labelled = [{**item, "label": CLASSES[label]} for item, (_, _, label) in zip(items(cells), cells, strict=True)]
    reply = worker.ask("score", items=labelled, work_dir=str(tmp_path))
    answers = worker.ask("infer", items=items(cells), work_dir=str(tmp_path))["answers"]
    right = np.mean([answers[item["key"]]["prediction"] == item["label"] for item in labelled])
    assert reply["n"] == len(cells)
    assert reply["metrics"]["accuracy"]["value"] == pytest.approx(right)
    assert sum(reply["decisions"].values()) == len(cells)


@pytest.mark.parametrize("line", ["no json", "[]", "3", '{"do": "run"}', '{"id": 1}', '{"do": ["infer"]}'])
def test_what_is_no_request_is_answered_too(worker, line):
    reply = worker.send(line)
    assert not reply["ok"]
    assert worker.ask("check")["ok"]


class TestTraining:
    """Training on labels, with weights that are exchanged only when they are calibrated."""

    @pytest.fixture(scope="class")
    def own(self, served, tmp_path_factory):
        """A copy of the bundle whose weights may change."""
        root = tmp_path_factory.mktemp("own") / NAME
        shutil.copytree(served.root, root)
        return root

    @pytest.fixture(scope="class")
    def trainer(self, own, start_worker):
        return start_worker(own)

    def labelled(self, served, number):
        """Cells of all classes, as many of each."""
        records = [record for name in ("test", "validation", "training") for record in served.records(name)]
        chosen = [record for k in range(4) for record in [r for r in records if r["label"] == k][: number // 4]]
        return [
            {
                "key": f"c{i}",
                "source": str(served.data / record["image"]),
                "label": CLASSES[record["label"]],
                "attributes": {"donor": f"d{i % 8}"},
            }
            for i, record in enumerate(chosen)
        ]

    def test_what_cannot_be_calibrated_leaves_the_served_model_as_it_is(self, trainer, own, served, tmp_path):
        before = (own / "models" / "model.pt").read_bytes()
        reply = trainer.ask("train", items=self.labelled(served, 12), work_dir=str(tmp_path), max_epochs=1)
        assert reply["ok"]
        assert (reply["trained"], reply["served"]) == (True, False)
        assert reply["reason"].startswith("calibrating: "), "statistics of so few cells cannot be fitted"
        assert (own / "models" / "model.pt").read_bytes() == before

    def test_new_weights_answer_and_the_old_ones_are_kept(self, trainer, own, served, cells, tmp_path):
        old = trainer.ask("infer", items=items(cells[:1]), work_dir=str(tmp_path / "a"))
        labelled = self.labelled(served, 80)
        (tmp_path / "broken.npy").write_bytes(b"no array")
        labelled.append({"key": "broken", "source": str(tmp_path / "broken.npy"), "label": "monocyte"})
        reply = trainer.ask("train", items=labelled, work_dir=str(tmp_path / "w"), max_epochs=2, seed=4)
        assert reply["ok"], reply
        assert reply["served"], reply
        assert trainer.progress[0].startswith(f"{NAME}: ")
        assert [line for line in trainer.progress if line.startswith("epoch 2 of 2: ") and "val_macro_f1" in line]
        assert list(reply["left_out"]) == ["broken"]
        assert reply["n_training"] + reply["n_validation"] == len(labelled) - 1
        new = trainer.ask("infer", items=items(cells[:1]), work_dir=str(tmp_path / "b"))
        assert new["model"]["weights_sha256"] == reply["weights_sha256"] != old["model"]["weights_sha256"]
        assert new["answers"] != old["answers"]
        for name in ("model.pt", "calibration.json"):
            assert (own / "models" / "replaced" / name).read_bytes() == (served.root / "models" / name).read_bytes()
        models = (served.root / "models", own / "models" / "replaced", own / "models")
        curves = [{path.name for path in (folder / "logs").glob("events.out.tfevents.*")} for folder in models]
        assert curves[0] == curves[1], "those of the first training"
        assert curves[2]
        assert not curves[2] & curves[0], "those of the new one"
        record = json.loads((own / "models" / "trained_on_labels.json").read_text())
        donors = {entry["key"]: entry["attributes"]["donor"] for entry in labelled[:-1]}
        assert not {donors[key] for key in record["training"]} & {donors[key] for key in record["validation"]}
        calibration = json.loads((own / "models" / "calibration.json").read_text())
        earlier = json.loads((served.root / "models" / "calibration.json").read_text())
        assert calibration["prepared_with"] == earlier["prepared_with"], "images are read as before"

    def test_training_begins_with_the_served_weights(self, trainer, own, served, tmp_path):
        """With no step to learn in, all that remains is where it began."""
        started = {}
        for from_scratch in (False, True):
            work = tmp_path / str(from_scratch)
            config = own / "configs" / "train.json"
            content = config.read_text()
            config.write_text(content.replace('"learning_rate": 0.003', '"learning_rate": 0.0'))
            reply = trainer.ask(
                "train", items=self.labelled(served, 12), work_dir=str(work), max_epochs=1, from_scratch=from_scratch
            )
            config.write_text(content)
            assert reply["trained"], reply
            started[from_scratch] = torch.load(work / "models" / "model.pt", weights_only=True)
        weights = torch.load(own / "models" / "model.pt", weights_only=True)
        name = next(iter(weights))
        np.testing.assert_array_equal(started[False][name], weights[name])
        assert not torch.equal(started[True][name], weights[name])

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"max_epochs": 0}, "max_epochs"),
            ({"max_epochs": "$print()"}, "max_epochs"),
            ({"seed": -1}, "seed"),
            ({"learning_rate": 1}, "expected max_epochs, seed, from_scratch"),
        ],
    )
    def test_settings_are_numbers(self, trainer, served, tmp_path, wrong, said):
        reply = trainer.ask("train", items=self.labelled(served, 8), work_dir=str(tmp_path), **wrong)
        assert not reply["ok"]
        assert said in reply["error"]

    def test_a_label_of_another_bundle_is_refused(self, trainer, served, tmp_path):
        labelled = self.labelled(served, 8)
        labelled[3]["label"] = "tumour"
        reply = trainer.ask("train", items=labelled, work_dir=str(tmp_path))
        assert "label 'tumour', expected one of monocyte" in reply["error"]


def test_a_bundle_without_calibration_says_how_to_get_one(served, start_worker, tmp_path):
    root = tmp_path / NAME
    shutil.copytree(served.root, root)
    (root / "models" / "calibration.json").unlink()
    reply = start_worker(root).ask("check")
    assert not reply["ok"]
    assert "calibration.json: no such file; run calibrating" in reply["error"]
