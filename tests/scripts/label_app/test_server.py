"""A real server and MONAI Label's own client, for each bundle: from the first answer to answers by new weights."""

from __future__ import annotations

import json
import shutil
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from tests.scripts.label_app.label_server import REPOSITORY, Server, needs_label_environment
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


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """One server of all bundles, on copies whose weights may change, with the samples of each."""
    folder = tmp_path_factory.mktemp("everything")
    server = Server(folder / "server", folder / "bundles", folder / "studies")
    server.samples = {}
    for name in CLASSES:
        served = served_once(name, tmp_path_factory)
        shutil.copytree(served.root, folder / "bundles" / name)
        server.samples[name] = Samples(name, served, folder / "samples" / name)
    server.start()
    yield server
    server.stop()


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
    metadata = json.loads((REPOSITORY / "bundles" / name / "configs" / "metadata.json").read_text())
    assert (answer["model"]["bundle"], answer["model"]["version"]) == (name, metadata["version"])
    assert {"station", "waiting", "total"} <= set(answer["timings"])


def judged(server, name, path, **params):
    """The answer for a file that is sent."""
    fields = {"params": json.dumps(params)}
    code, answer = server.form("POST", f"/infer/{name}", fields, {"file": (path.name, path.read_bytes())})
    assert code == 200, answer
    return answer


def work(server, path, **params):
    """What some work found that the server does while one waits."""
    kind = {"Content-Type": "application/json"}
    code, _, body = server.http("POST", f"{path}run_sync=true", json.dumps(params).encode(), kind)
    assert code == 200, body
    return json.loads(body)


@pytest.mark.parametrize("name", list(CLASSES))
def test_from_the_first_answer_to_new_weights(name, everything):
    server, samples, number = everything, everything.samples[name], LABELLED[name]
    model = server.call("info")["models"][name]
    assert (model["type"], list(model["labels"])) == ("classification", CLASSES[name])

    for index in range(number):
        image = f"{name}-{index}"
        assert server.call("upload_image", samples.file(index), image, samples.attributes(index)) == {"image": image}
    image = f"{name}-0"
    _, first = server.call("infer", name, image, {})
    assert_answer(name, first)
    assert "explanations" not in first
    file, explained = server.call("infer", name, image, {"explain": True})
    assert Path(file).read_bytes().startswith(b"\x89PNG")
    assert {key: explained[key] for key in first if key != "timings"} == {
        key: first[key] for key in first if key != "timings"
    }
    assert_explained(name, server, image, explained, model)

    server.call("save_label", image, samples.label(0))
    assert server.call("datastore")["objects"][image]["labels"]["final"]["info"]["model"] == name
    kept = server.form("PUT", f"/datastore/label/info?label={image}&tag=final", {"info": '{"remark": "sharp"}'})
    assert kept == (200, {"remark": "sharp"})
    assert server.call("datastore")["objects"][image]["labels"]["final"]["info"]["remark"] == "sharp"
    stolen = server.form("PUT", f"/datastore/label/info?label={image}&tag=final", {"info": '{"model": "another"}'})
    assert stolen[0] == 400
    assert_next(name, server)

    for index in range(1, number):
        server.call("save_label", f"{name}-{index}", samples.label(index))
    assert server.call("next_sample", "uncertainty", {"model": name}) == {}, "nothing is left to label"
    started = server.call("train_start", name, {"max_epochs": 1})
    assert started["status"] in ("SUBMITTED", "RUNNING")
    status = wait_for_training(server)
    assert status["status"] == "DONE", "\n".join(status["details"])
    assert any("epoch 1 of 1" in line for line in status["details"])
    _, later = server.call("infer", name, image, {})
    assert_answer(name, later)
    assert later["model"]["weights_sha256"] != first["model"]["weights_sha256"]
    assert later["probabilities"] != first["probabilities"]

    scored = work(server, "/scoring/agreement?", model=name)[name]
    assert scored["n"] == number
    assert 0 <= next(iter(scored["metrics"].values()))["value"] <= 1
    assert scored["model"]["weights_sha256"] == later["model"]["weights_sha256"]


def assert_next(name, server):
    """The next image is the one that its strategy puts first among all without a label."""
    answers = work(server, f"/batch/infer/{name}?images=unlabeled&", save_label=False)
    assert set(answers) == {f"{name}-{index}" for index in range(1, LABELLED[name])}

    def lowest(answer):
        return min(answer["confidence"].values()) if name == "chexpert_informer" else answer["confidence"]

    def alarms(answer):
        return sum(answer["alarm"].values()) if name == "chexpert_informer" else answer["alarm"]

    chosen = {
        strategy: server.call("next_sample", strategy, {"model": name})["id"]
        for strategy in ("random", "uncertainty", "alarm", *(["outlier"] if name != "chexpert_informer" else []))
    }
    assert set(chosen.values()) <= set(answers)
    least_certain = min(map(lowest, answers.values()))
    assert lowest(answers[chosen["uncertainty"]]) == pytest.approx(least_certain, abs=1e-5)
    most = max(map(alarms, answers.values()))
    assert alarms(answers[chosen["alarm"]]) == most
    of_those = min(lowest(answer) for answer in answers.values() if alarms(answer) == most)
    assert lowest(answers[chosen["alarm"]]) == pytest.approx(of_those, abs=1e-5)
    if name == "chexpert_informer":
        refused = server.ask_client("next_sample", "outlier", {"model": name, "candidates": 1})["message"]
        assert "has no outlier score; use uncertainty or alarm" in refused
    else:
        scores = {image: answer["further"]["outlier_score"] for image, answer in answers.items()}
        assert scores[chosen["outlier"]] == pytest.approx(max(scores.values()), rel=1e-4)


def assert_explained(name, server, image, explained, model):
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
    status, content = server.form("POST", f"/infer/{name}?image={image}&output=image", {"params": json.dumps(wanted)})
    assert status == 200, content
    assert content.startswith(magic)
    status, answer = server.form(
        "POST", f"/infer/{name}?image={image}&output=json", {"params": json.dumps({**wanted, "explain": True})}
    )
    assert status == 200
    assert answer["explanations"][0]["method"] == wanted["method"]
    if "target_class" in wanted:
        assert [entry["target_class"] for entry in answer["explanations"]] == [wanted["target_class"]]
    if name == "camelyon_attmil":
        status, answer = server.form("POST", f"/infer/wsi_v2/{name}?image={image}&output=json", {"wsi": '{"level": 0}'})
        assert status == 200, answer
        assert answer["probabilities"] == explained["probabilities"], "a slide is one bag, whatever is in sight"


def test_a_patient_of_a_session(everything):
    server, name = everything, "lymphocytosis_moe"
    said = {"age": 61.5, "lymphocyte_count": 14.2}
    archive = server.samples[name].file(0)
    session = server.call("create_session", archive, {"uncompress": "true"})["session_id"]
    _, patient = server.call("infer", name, "", said, session_id=session)
    _, other = server.call("infer", name, "", {**said, "lymphocyte_count": 2.0}, session_id=session)
    assert_answer(name, patient)
    assert patient["further"]["expert_probability_attributes"] != other["further"]["expert_probability_attributes"]
    assert patient["further"]["expert_probability_image"] == other["further"]["expert_probability_image"]
    assert judged(server, name, archive, **said)["probabilities"] == patient["probabilities"], "sent or kept"
    missing = server.ask_client("infer", name, "", {"age": 61.5}, session_id=session)
    assert "lymphocyte_count is None, expected a number" in missing["message"]
    server.call("remove_session", session)
    gone = server.ask_client("infer", name, "", said, session_id=session)
    assert "there is none, or it has expired" in gone["message"]


def test_parallel_requests(everything):
    """Whoever asks at the same time as others gets the answer that they would get alone."""
    server = everything

    def ask(request):
        name, number = request
        samples = server.samples[name]
        answer = judged(server, name, samples.file(number), **samples.attributes(number))
        assert answer.pop("timings")["total"] >= 0
        return answer

    requests = [(name, number) for number in (2, 3, 4) for name in CLASSES]
    alone = [ask(request) for request in requests]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, requests * 2))
    assert together == alone * 2
    assert len({json.dumps(answer["probabilities"]) for answer in alone}) == len(requests), "no two are alike"


def test_a_film_in_every_format(everything, tmp_path):
    """The same pixels give the same answer, whatever file they are in."""
    server, name = everything, "chexpert_informer"
    with Image.open(server.samples[name].file(5)) as picture:
        pixels = np.asarray(picture.convert("L"))
    for suffix in ("png", "tiff", "bmp"):
        Image.fromarray(pixels).save(tmp_path / f"film.{suffix}")
    write_radiograph(tmp_path / "film.dcm", pixels)
    answers = [judged(server, name, tmp_path / f"film.{suffix}") for suffix in ("png", "tiff", "bmp", "dcm")]
    assert_answer(name, answers[0])
    for answer in answers[1:]:
        assert answer["probabilities"] == pytest.approx(answers[0]["probabilities"], abs=1e-6)
        assert answer["alarm"] == answers[0]["alarm"]


def test_a_cell_in_every_format(everything, tmp_path):
    """Phases are alike in both kinds of file that hold them; a picture is refused where nothing says what it shows."""
    server, name = everything, "leukocyte_qpi"
    cell = np.load(server.samples[name].file(5))
    np.save(tmp_path / "cell.npy", cell)
    tifffile.imwrite(tmp_path / "cell.tif", cell)
    of_array, of_tiff = (judged(server, name, tmp_path / file) for file in ("cell.npy", "cell.tif"))
    assert_answer(name, of_array)
    assert of_tiff["probabilities"] == of_array["probabilities"]
    Image.fromarray(np.uint8(255 * (cell - cell.min()) / np.ptp(cell))).save(tmp_path / "cell.png")
    code, refused = server.form(
        "POST", f"/infer/{name}", {}, {"file": ("cell.png", (tmp_path / "cell.png").read_bytes())}
    )
    assert code == 422
    assert "phase" in refused["detail"]


def write_radiograph(path, pixels):
    """A computed radiograph as a DICOM file, of the pixels as they are."""
    content = Dataset()
    content.SOPClassUID = ComputedRadiographyImageStorage
    content.SOPInstanceUID = generate_uid()
    content.Modality, content.ViewPosition, content.PatientID = "CR", "PA", "P1"
    content.PhotometricInterpretation = "MONOCHROME2"
    content.Rows, content.Columns = pixels.shape
    content.SamplesPerPixel, content.PixelRepresentation = 1, 0
    content.BitsAllocated, content.BitsStored, content.HighBit = 8, 8, 7
    content.PixelData = np.ascontiguousarray(pixels).tobytes()
    content.file_meta = FileMetaDataset()
    content.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content.save_as(path, enforce_file_format=True)


def test_many_images_in_one_task(everything, tmp_path):
    server, name = everything, "chexpert_informer"
    samples = server.samples[name]
    alone = {}
    for index in range(LABELLED[name], LABELLED[name] + 3):
        server.call("upload_image", samples.file(index), f"film{index}", {})
        alone[f"film{index}"] = judged(server, name, samples.file(index))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    server.call("upload_image", tmp_path / "broken.png", "broken", {})
    batch = work(server, f"/batch/infer/{name}?images=unlabeled&")
    for image, said in alone.items():
        assert batch[image]["prediction"] == said["prediction"]
        assert batch[image]["probabilities"] == pytest.approx(said["probabilities"], abs=1e-5)
    assert "broken" in batch["broken"]["refused"]
    labels = {image: entry["labels"] for image, entry in server.call("datastore")["objects"].items()}
    assert set(alone) <= {image for image, found in labels.items() if "original" in found}
    assert "original" not in labels["broken"]
    assert not any("final" in labels[image] for image in alone), "a prediction is no label that a person gave"
    for image in (*alone, "broken"):
        assert server.http("DELETE", f"/datastore/image?id={image}")[0] == 200
    assert not {*alone, "broken"} & set(server.call("datastore")["objects"])


def test_the_folder_is_watched_however_much_is_sent(everything):
    """MONAI Label's own datastore stops to look after uploads that come in between."""
    server = everything
    film = server.samples["chexpert_informer"].file(0)
    kept = [f"sent-{index}" for index in range(40)]
    with ThreadPoolExecutor(4) as pool:
        files = {"file": (film.name, film.read_bytes())}
        codes = list(pool.map(lambda name: server.form("PUT", f"/datastore/image?image={name}", {}, files)[0], kept))
    assert set(codes) == {200}
    assert set(kept) <= set(server.call("datastore")["objects"])
    by_hand = server.studies / f"by_hand{film.suffix}"
    shutil.copy(film, by_hand)
    wait_until(lambda: "by_hand" in server.call("datastore")["objects"])
    by_hand.unlink()
    wait_until(lambda: "by_hand" not in server.call("datastore")["objects"])
    for image in kept:
        assert server.http("DELETE", f"/datastore/image?id={image}")[0] == 200
    assert not set(kept) & set(server.call("datastore")["objects"])


def wait_until(true):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)
