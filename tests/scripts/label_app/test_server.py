"""A real server and MONAI Label's own client, for each bundle: from the first answer to answers by new weights."""

from __future__ import annotations

import json
import shutil
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.scripts.label_app.label_server import Server, needs_label_environment
from tests.served_bundles import served_once

pytestmark = [pytest.mark.slow, needs_label_environment]

FINDINGS = ["atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion"]
CLASSES = {
    "leukocyte_qpi": ["monocyte", "lymphocyte", "neutrophil", "eosinophil"],
    "lymphocytosis_moe": ["reactive", "tumoral"],
    "chexpert_informer": FINDINGS,
    "camelyon_attmil": ["normal", "tumour"],
}
LABELLED = {"leukocyte_qpi": 40, "lymphocytosis_moe": 20, "chexpert_informer": 40, "camelyon_attmil": 18}


class Samples:
    """Generated samples of a bundle as files to be sent, with what a person would say of them."""

    def __init__(self, name, served, folder):
        self.name, self.served, self.folder = name, served, folder
        folder.mkdir(parents=True)
        sections = ("test", "validation", "training")
        records = [record for section in sections for record in served.records(section) if "label" in record]
        # classes in turn, so that the first few have all of them
        keys = [json.dumps(record["label"]) for record in records]
        turns = {key: iter([r for r, k in zip(records, keys, strict=True) if k == key]) for key in sorted(set(keys))}
        self.records = []
        while len(self.records) < len(records):
            self.records += [record for turn in turns.values() if (record := next(turn, None)) is not None]

    def file(self, number):
        record = self.records[number]
        if self.name == "lymphocytosis_moe":
            path = self.folder / f"patient{number}.zip"
            with zipfile.ZipFile(path, "w") as archive:
                for cell in record["image"]:
                    archive.write(self.served.data / cell, f"cells/{Path(cell).name}")
            return path
        # of most slides the features, which a bundle takes as well, and which need not be computed anew
        kind = {"camelyon_attmil": "slide" if number < 2 else "features"}.get(self.name, "image")
        return self.served.data / record[kind]

    def attributes(self, number):
        record = self.records[number]
        return {
            key: record[key]
            for key in ("age", "lymphocyte_count")
            if key in record and self.name == "lymphocytosis_moe"
        }

    def label(self, number):
        label = self.records[number]["label"]
        path = self.folder / f"label{number}.json"
        if isinstance(label, list):  # a person leaves out what is not known
            said = {name: value for name, value in zip(FINDINGS, label, strict=True) if value is not None}
        else:
            said = CLASSES[self.name][label]
        path.write_text(json.dumps({"label": said}))
        return path


def copied(name, tmp_path_factory):
    """A bundle in a folder of its own, whose weights may change."""
    served = served_once(name, tmp_path_factory)
    bundles = tmp_path_factory.mktemp("bundles")
    shutil.copytree(served.root, bundles / name)
    return served, bundles


def wait_for_training(server):
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        status = server.call("train_status")
        if status["status"] not in ("SUBMITTED", "RUNNING"):
            return status
        time.sleep(1)
    pytest.fail("the training did not end")


def assert_answer(name, answer):
    classes = CLASSES[name]
    assert list(answer["probabilities"]) == classes
    if name == "chexpert_informer":
        assert all(0 <= value <= 1 for value in answer["probabilities"].values())
        for key in ("prediction", "confidence", "decision", "reason", "alarm", "prediction_after_alarm"):
            assert list(answer[key]) == classes
        assert all((answer["decision"][f] == "defer") == answer["alarm"][f] for f in classes)
    else:
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert answer["prediction"] == max(classes, key=answer["probabilities"].__getitem__)
        assert answer["decision"] in ("accept", "defer", "reject")
        assert answer["alarm"] == (answer["decision"] != "accept")
    assert len(answer["model"]["weights_sha256"]) == 64
    assert answer["model"]["bundle"] == name
    assert {"station", "waiting", "total"} <= set(answer["timings"])


@pytest.mark.parametrize("name", list(CLASSES))
def test_from_the_first_answer_to_new_weights(name, tmp_path_factory, tmp_path):
    served, bundles = copied(name, tmp_path_factory)
    samples = Samples(name, served, tmp_path / "samples")
    server = Server(tmp_path / "server", bundles, tmp_path / "studies", {"models": name}).start()
    try:
        model = server.call("info")["models"][name]
        assert (model["type"], list(model["labels"])) == ("classification", CLASSES[name])

        number = LABELLED[name]
        for index in range(number):
            given = server.call("upload_image", samples.file(index), f"s{index}", samples.attributes(index))
            assert given == {"image": f"s{index}"}

        _, first = server.call("infer", name, "s0", {})
        assert_answer(name, first)
        assert "explanations" not in first
        file, explained = server.call("infer", name, "s0", {"explain": True})
        assert Path(file).read_bytes().startswith(b"\x89PNG")
        assert {key: explained[key] for key in first if key != "timings"} == {
            key: first[key] for key in first if key != "timings"
        }
        assert_explained(name, server, explained, model)

        server.call("save_label", "s0", samples.label(0))
        assert server.call("datastore")["objects"]["s0"]["labels"]["final"]["info"]["model"] == name
        for strategy in ("random", "uncertainty", "alarm"):
            chosen = server.call("next_sample", strategy, {"candidates": 3})
            assert chosen["id"] != "s0"
            assert chosen["id"] in {f"s{index}" for index in range(number)}
        outlier = server.ask_client("next_sample", "outlier", {"candidates": 3})
        assert outlier.get("ok", {}).get("id") or "has no outlier score" in outlier["message"]

        for index in range(1, number):
            server.call("save_label", f"s{index}", samples.label(index))
        assert server.call("next_sample", "uncertainty", {}) == {}, "nothing is left to label"
        started = server.call("train_start", name, {"max_epochs": 1})
        assert started["status"] in ("SUBMITTED", "RUNNING")
        status = wait_for_training(server)
        assert status["status"] == "DONE", "\n".join(status["details"])
        assert any("epoch 1 of 1" in line for line in status["details"])
        _, later = server.call("infer", name, "s0", {})
        assert_answer(name, later)
        assert later["model"]["weights_sha256"] != first["model"]["weights_sha256"]
        assert later["probabilities"] != first["probabilities"]

        code, _, body = server.http(
            "POST", "/scoring/agreement?run_sync=true", b"{}", {"Content-Type": "application/json"}
        )
        assert code == 200, body
        scored = json.loads(body)[name]
        assert scored["n"] == number
        assert 0 <= next(iter(scored["metrics"].values()))["value"] <= 1
        assert scored["model"]["weights_sha256"] == later["model"]["weights_sha256"]
    finally:
        server.stop()


def assert_explained(name, server, explained, model):
    """Method, class and file are those that a request names."""
    (entry, *others) = explained["explanations"]
    assert entry["method"] in model["config"]["method"]
    assert len(others) == (4 if name == "chexpert_informer" else 0)
    if name == "camelyon_attmil":
        assert entry["geojson"]["type"] == "FeatureCollection"
        assert entry["tiles"] >= len(entry["highest"]) > 1
        assert {"tiff", "geojson", "instances_csv", "tiles_geojson"} <= set(entry["files"])
        wanted = {"method": "attention", "file": "tiff"}
        magic = b"II"
    elif name == "lymphocytosis_moe":
        assert entry["highest"][0]["rank"] == 1
        assert entry["experts"].keys() == {"gate", "image", "attributes", "whole"}
        wanted = {"method": "input_x_gradient", "file": "instances_csv"}
        magic = b"rank,"
    else:
        wanted = {"method": "input_x_gradient", "target_class": CLASSES[name][1], "file": "nifti"}
        magic = b"\x1f\x8b"
    status, content = server.form("POST", f"/infer/{name}?image=s0&output=image", {"params": json.dumps(wanted)})
    assert status == 200, content
    assert content.startswith(magic)
    status, answer = server.form(
        "POST", f"/infer/{name}?image=s0&output=json", {"params": json.dumps({**wanted, "explain": True})}
    )
    assert status == 200
    assert answer["explanations"][0]["method"] == wanted["method"]
    if "target_class" in wanted:
        assert [entry["target_class"] for entry in answer["explanations"]] == [wanted["target_class"]]
    if name == "camelyon_attmil":
        status, answer = server.form("POST", f"/infer/wsi_v2/{name}?image=s0&output=json", {"wsi": '{"level": 0}'})
        assert status == 200, answer
        assert answer["probabilities"] == explained["probabilities"], "a slide is one bag, whatever is in sight"


def test_a_patient_of_a_session_and_parallel_requests(tmp_path_factory, tmp_path):
    """Whoever asks at the same time as others gets the answer that they would get alone."""
    names = ["leukocyte_qpi", "lymphocytosis_moe"]
    served = {name: served_once(name, tmp_path_factory) for name in names}
    bundles = next(iter(served.values())).root.parent
    samples = {name: Samples(name, served[name], tmp_path / name) for name in names}
    server = Server(tmp_path / "server", bundles, tmp_path / "studies", {"models": ",".join(names)}).start()
    try:
        said = {"age": 61.5, "lymphocyte_count": 14.2}
        session = server.call("create_session", samples[names[1]].file(0), {"uncompress": "true"})["session_id"]
        _, patient = server.call("infer", names[1], "", said, session_id=session)
        _, other = server.call("infer", names[1], "", {**said, "lymphocyte_count": 2.0}, session_id=session)
        assert_answer(names[1], patient)
        assert patient["further"]["expert_probability_attributes"] != other["further"]["expert_probability_attributes"]
        assert patient["further"]["expert_probability_image"] == other["further"]["expert_probability_image"]
        missing = server.ask_client("infer", names[1], "", {"age": 61.5}, session_id=session)
        assert "lymphocyte_count is None, expected a number" in missing["message"]

        def ask(request):
            name, number = request
            path = samples[name].file(number)
            fields = {"params": json.dumps(samples[name].attributes(number))}
            status, answer = server.form("POST", f"/infer/{name}", fields, {"file": (path.name, path.read_bytes())})
            assert status == 200, answer
            assert answer.pop("timings")["total"] >= 0
            return answer

        requests = [(name, number) for number in range(4) for name in names]
        alone = [ask(request) for request in requests]
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(ask, requests * 2))
        assert together == alone * 2
        assert len({json.dumps(answer["probabilities"]) for answer in alone}) == len(requests), "no two are alike"

        for index in range(3):
            server.call("upload_image", samples[names[0]].file(index), f"cell{index}", {})
        (tmp_path / "broken.npy").write_bytes(b"no array")
        server.call("upload_image", tmp_path / "broken.npy", "broken", {})
        status, _, body = server.http("POST", f"/batch/infer/{names[0]}?run_sync=true")
        assert status == 200, body
        batch = json.loads(body)
        for index in range(3):
            said = next(answer for request, answer in zip(requests, alone, strict=True) if request == (names[0], index))
            assert batch[f"cell{index}"]["prediction"] == said["prediction"]
            assert batch[f"cell{index}"]["probabilities"] == pytest.approx(said["probabilities"], abs=1e-5)
        assert "broken" in batch["broken"]["refused"]
        labels = {name: entry["labels"] for name, entry in server.call("datastore")["objects"].items()}
        assert {name for name, found in labels.items() if "original" in found} == {"cell0", "cell1", "cell2"}
        assert not any("final" in found for found in labels.values()), "a prediction is no label that a person gave"
    finally:
        server.stop()
