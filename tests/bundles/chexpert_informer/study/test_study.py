"""A small study from radiographs to its page, and what its networks say against the networks themselves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from shared.data.files import read_json
from shared.training.weights import load_weights
from tests.bundles.commands import run as run_command

FINDINGS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")
SIZE, PATIENTS = 32, 60


@pytest.fixture
def data(tmp_path):
    """Radiographs in the NIH layout, noise with labels at random, and what another network says of them."""
    from PIL import Image

    rng = np.random.default_rng(0)
    folder = tmp_path / "nih"
    (folder / "images").mkdir(parents=True)
    names = [f"{number:08d}_000.png" for number in range(PATIENTS)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (40, 36), dtype=np.uint8)).save(folder / "images" / name)
    labels = (rng.random((PATIENTS, 5)) < 0.4).astype(int)
    columns = {"image": names, "patient": range(PATIENTS), "age": 50, "sex": "F", "view": "PA"}
    pd.DataFrame(columns | dict(zip(FINDINGS, labels.T, strict=True))).to_csv(folder / "labels.csv", index=False)
    titles = ["Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion"]
    said = {f"prob_{title}": 0.2 + 0.6 * labels[:, k] for k, title in enumerate(titles)}
    # in another order than the labels
    pd.DataFrame({"Image Index": names} | said)[::-1].to_csv(folder / "reference_predictions.csv", index=False)
    return folder


@pytest.fixture
def small(scripts, monkeypatch):
    """Settings of a study of seconds."""
    read = scripts("study.settings").read_settings
    quick = read("quick")
    training = {**quick.training, "image_size": SIZE, "init_features": 4, "growth_rate": 4, "block_config": [1, 1]}
    settings = dataclasses.replace(
        quick,
        training=training,
        alarms=dataclasses.replace(quick.alarms, methods=["lrp", "input_x_gradient"], folds=2),
        phantoms=dataclasses.replace(quick.phantoms, patients={"train": 24, "valid": 30, "test": 24}),
        shortcut=dataclasses.replace(quick.shortcut, films=10, mapped=4, shown=1),
        resamples=40,
    )
    main = scripts("study.main")
    monkeypatch.setattr(main, "read_settings", lambda mode, seeds=None: settings if mode != "full" else read("full"))
    return settings


@pytest.mark.slow
def test_from_radiographs_to_the_page(scripts, small, data, tmp_path):
    main, output = scripts("study.main"), tmp_path / "out"
    outcome = main.run_study(data, output, workers=0)
    assert outcome.failures == {}
    assert [path.name for path in outcome.written] == ["table.csv", "table.md", "table.html"]
    assert not list((output / "work").rglob("*.*"))

    radiographs = scripts("study.real_images").read_radiographs(data, output)
    workshop = scripts("study.workshop").Workshop(output, radiographs, small)
    runs = scripts("study.grid").all_runs(small)
    assert all(workshop.is_done(run) for run in runs)
    check_logits(scripts, workshop, runs[0])
    check_table(output)

    # nothing is done again, and a lost fold takes its cross-validation out of the table
    written = {run: workshop.result_path(run).stat().st_mtime_ns for run in runs}
    workshop.result_path(runs[1]).unlink()
    main.run_study(data, output, workers=0, table_only=True)
    text = (output / "table.md").read_text(encoding="utf-8")
    assert "Real images, repeat 1: 1 of 2 folds" in text
    assert "Goal and power, real images" not in text
    main.run_study(data, output, workers=0)
    again = {run: workshop.result_path(run).stat().st_mtime_ns for run in runs}
    assert [run for run in runs if again[run] != written[run]] == [runs[1]]
    assert read_json(output / "failures.json") == {}
    # other data, another recipe
    other = dataclasses.replace(radiographs, sha256="0")
    assert not scripts("study.workshop").Workshop(output, other, small).is_done(runs[0])


def check_logits(scripts, workshop, run):
    """The kept logits are those of the kept weights, for the held-out images and no others."""
    result, split = workshop.result(run), workshop.split(run)
    network = scripts("networks").ChestNetwork(5, 1, 4, 4, (1, 1), 0.2)
    load_weights(network, workshop.weights_path(run))
    read = scripts("network_input").network_input(SIZE)
    for section in ("validation", "test"):
        records = workshop.radiographs.of(getattr(split, section))
        assert result[f"{section}_id"].tolist() == [record["id"] for record in records]
        with torch.no_grad():
            logits = network.eval()(torch.stack([read(record)["image"] for record in records]))
        np.testing.assert_allclose(result[f"{section}_logits"], logits.numpy(), atol=1e-4)
        np.testing.assert_array_equal(result[f"{section}_label"], [record["label"] for record in records])


def check_table(output):
    table = pd.read_csv(output / "table.csv")
    areas = table[(table["section"].str.startswith("Networks")) & (table["images"] == "real images")]
    reference = areas[(areas["measure"] == "reference, DenseNet121") & (areas["finding"] == "mean")].iloc[0]
    # it tells every label, so that no resample has another area
    assert reference["text"] == "1.000 (all resamples agree)"
    sections = table["section"].unique().tolist()
    for name in ("phantoms", "real images"):
        for title in ("Goal and power", "What is known beyond the logit", "Alarms", "Deferring"):
            assert f"{title}, {name}" in sections
    assert [name for name in sections if name.startswith("Shortcut")] == [
        "Shortcut: predictions",
        "Shortcut: do alarms flag it?",
        "Shortcut: do the maps lie on the text?",
    ]
    counted = table[table["section"] == "F1 after swapping by finding, phantoms"]
    assert set(counted["n"].dropna()) == {48}
    page = (output / "table.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert "A smoke test: its numbers mean nothing" in page


def test_a_reference_that_lacks_an_image_is_refused(scripts, data, tmp_path):
    from shared.data.errors import DataError

    real_images = scripts("study.real_images")
    radiographs = real_images.read_radiographs(data, tmp_path)
    file = data / "reference_predictions.csv"
    table = pd.read_csv(file)
    table[table["Image Index"] != "00000007_000.png"].to_csv(file, index=False)
    with pytest.raises(DataError, match=r"says nothing of 00000007_000\.png"):
        real_images.reference_probabilities(data, radiographs)
    table.drop(columns="prob_Edema").to_csv(file, index=False)
    with pytest.raises(DataError, match="no column 'prob_Edema'"):
        real_images.reference_probabilities(data, radiographs)
    file.unlink()
    assert real_images.reference_probabilities(data, radiographs) is None


def test_the_command_names_what_is_missing(repository, tmp_path):
    command = [str(repository / "scripts" / "reproduce.py"), "chexpert_informer"]
    command += ["--data", str(tmp_path), "--output", str(tmp_path / "out")]
    result = run_command(command, tmp_path, check=False)
    assert result.returncode == 1
    assert "nothing to prepare" in result.stderr
    assert "Traceback" not in result.stderr
