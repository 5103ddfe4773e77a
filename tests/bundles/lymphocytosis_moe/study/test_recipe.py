"""When a result is reused: only if it was made alike."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from shared.data.files import read_json
from shared.study import precision


def test_a_result_is_reused_only_if_it_was_made_alike(study, workshop, write_result):
    Run = study("grid").Run
    written = [Run(model, 0, 0) for model in ("svm", "mlp", "cnn_mean_k32", "moe_p2_k32")]
    for run in written:
        write_result(run, 0)
        assert workshop.is_done(run) == (run.model == "svm")  # of a network the weights belong to it
        workshop.weights_path(run).parent.mkdir(parents=True, exist_ok=True)
        workshop.weights_path(run).write_bytes(b"")
        assert workshop.is_done(run)

    def done(**changed):
        other = dataclasses.replace(workshop, settings=dataclasses.replace(workshop.settings, **changed))
        return [run.model for run in written if other.is_done(run)]

    assert done(training={**workshop.settings.training, "learning_rate": 0.5}) == ["svm"]
    cnn = workshop.settings.models["cnn_mean_k32"]
    wider = {**cnn, "overrides": {**cnn["overrides"], "width": 33}}
    # a mixture depends on the experts that it starts from
    assert done(models={**workshop.settings.models, "cnn_mean_k32": wider}) == ["svm", "mlp"]
    renamed = {**cnn, "title": "CNN", "minutes": 99}
    assert done(models={**workshop.settings.models, "cnn_mean_k32": renamed}, hours=1.0, resamples=5) == [
        "svm",
        "mlp",
        "cnn_mean_k32",
        "moe_p2_k32",
    ]
    assert done(validation_share=0.3) == []


def test_what_the_metadata_say_belongs_to_the_recipe_of_networks(study, workshop, tmp_path, monkeypatch, write_result):
    Run, resolved = study("grid").Run, study("resolved")
    written = [Run(model, 0, 0) for model in ("svm", "mlp", "cnn_mean_k32", "moe_p2_k32")]
    for run in written:
        write_result(run, 0)
        workshop.weights_path(run).parent.mkdir(parents=True, exist_ok=True)
        workshop.weights_path(run).write_bytes(b"")
    metadata = read_json(resolved.CONFIGS / "metadata.json")
    train = (resolved.CONFIGS / "train.json").read_text(encoding="utf-8")
    monkeypatch.setattr(resolved, "CONFIGS", tmp_path)
    (tmp_path / "train.json").write_text(train, encoding="utf-8")

    def done(**network):
        content = {**metadata, "network": {**metadata["network"], **network}}
        (tmp_path / "metadata.json").write_text(json.dumps(content), encoding="utf-8")
        return [run.model for run in written if workshop.is_done(run)]

    assert done() == ["svm", "mlp", "cnn_mean_k32", "moe_p2_k32"]
    assert done(log_count=not metadata["network"]["log_count"]) == ["svm"]
    # the networks on cells set their own width and pooling; a mixture depends on the perceptron, which does not
    assert done(width=99) == done(pooling="max") == ["svm", "cnn_mean_k32"]
    assert done(name="AveragedClassifier") == ["svm", "mlp", "cnn_mean_k32", "moe_p2_k32"]
    assert done(authors_note="x") == ["svm", "mlp", "cnn_mean_k32", "moe_p2_k32"]
    monkeypatch.setattr(study("workshop"), "NETWORK_VERSION", "next")
    assert done() == ["svm"]


def test_the_values_are_those_that_a_training_sees(study):
    resolved = study("resolved")
    overrides = {"network_name": "ImageClassifier", "width": 8, "pooling": "max", "image_size": 64}
    metadata = read_json(resolved.CONFIGS / "metadata.json")
    found = resolved.metadata_values({})
    assert found["width"] == metadata["network"]["width"]
    assert found["image_size"] == metadata["preprocessing"]["image_size_px"]
    assert found["classes"] == ["reactive", "tumoral"]
    assert not set(overrides) & set(resolved.metadata_values(overrides))


@pytest.mark.parametrize(
    ("device", "capabilities", "amp", "name"),
    [
        ("cpu", {"avx512_bf16": True}, True, "bfloat16"),
        ("cpu", {"amx_bf16": True, "avx512_bf16": False}, True, "bfloat16"),
        ("cpu", {"bf16": True}, True, "bfloat16"),
        ("cpu", {"avx512_f": True, "avx512_bf16": False}, False, "float32"),
        ("$torch.device('cuda:0')", {}, True, "float16"),
    ],
)
def test_precision_is_lowered_only_where_that_is_faster(study, workshop, monkeypatch, device, capabilities, amp, name):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    training = precision.with_precision({"amp": None, "image_size": 9}, device)
    assert training == {"amp": amp, "image_size": 9}
    assert precision.precision_name(training, device) == name
    # what is asked for is kept
    assert precision.with_precision({"amp": False}, device) == {"amp": False}
    if device == "cpu":
        assert study("settings").read_settings().training["amp"] is amp
    settings = dataclasses.replace(workshop.settings, training=training, device=device)
    recipe = json.loads(dataclasses.replace(workshop, settings=settings).recipe(study("grid").Run("mlp", 0, 0)))
    assert recipe["models"]["mlp"]["precision"] == name
