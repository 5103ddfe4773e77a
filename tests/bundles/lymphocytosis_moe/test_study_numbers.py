"""The numbers of the study's table against hand-made predictions and slow computations."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.special import expit, log_expit
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, roc_auc_score

from shared.calibration.temperature import fit_temperature
from shared.data.errors import DataError
from shared.data.files import read_json
from shared.study import precision

P = 60


@pytest.fixture(scope="module")
def study(bundle_scripts):
    load = bundle_scripts("lymphocytosis_moe")
    return lambda name: load(f"study.{name}")


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).permutation(np.repeat([0, 1], [20, 40]))


@pytest.fixture
def meter(study, labels):
    return study("measures").Meter(labels, n_bins=10, resamples=300)


def probabilities_of(labels, repeats=2, seed=0, extra=()):
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(repeats, len(labels), *extra))
    return expit(1.5 * drawn + 1.2 * (2 * labels - 1).reshape(1, -1, *[1] * len(extra)))


def slow_temperature(logits, truth):
    """The most probable one, if its logarithm has a standard normal distribution before any patient is seen."""
    signed = logits * (2 * truth - 1)
    tried = np.linspace(-3, 3, 6001)
    loss = [-log_expit(signed / np.exp(t)).sum() + t**2 / 2 for t in tried]
    near = tried[int(np.argmin(loss))]
    slope = brentq(lambda t: (expit(-signed / np.exp(t)) * signed / np.exp(t)).sum() + t, near - 2e-3, near + 2e-3)
    return float(np.exp(slope))


def slow_metrics(truth, scores):
    """Sensitivity, specificity, accuracy, balanced accuracy, area, from the confusion matrix."""
    ((tn, fp), (fn, tp)) = confusion_matrix(truth, scores > 0.5)
    sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
    balanced = (sensitivity + specificity) / 2
    return [sensitivity, specificity, (tp + tn) / len(truth), balanced, roc_auc_score(truth, scores)]


def test_metrics_are_means_over_repeats_of_pooled_predictions(meter, labels):
    probabilities = probabilities_of(labels)
    measured = meter.classification(probabilities)
    expected = np.array([slow_metrics(labels, scores) for scores in probabilities])
    assert [estimate.value for estimate in measured.values()] == pytest.approx(expected.mean(axis=0))
    assert measured["roc_auc"].repeat_sd == pytest.approx(expected[:, 4].std(ddof=1))
    assert measured["roc_auc"].low < measured["roc_auc"].value < measured["roc_auc"].high
    # stratified: a resample has as many patients of each class, so that accuracy follows from the two rates
    sensitive, special, accurate = (measured[name] for name in ("sensitivity", "specificity", "accuracy"))
    assert accurate.value == pytest.approx((40 * sensitive.value + 20 * special.value) / 60)
    called = probabilities > 0.7
    expected_at = np.mean([balanced_accuracy_score(labels, row) for row in called])
    assert meter.at_threshold(called).value == pytest.approx(expected_at)


def test_a_difference_is_paired(meter, labels):
    probabilities, other = probabilities_of(labels), probabilities_of(labels, seed=1)
    same = meter.difference(probabilities, probabilities)
    assert all((e.value, e.low, e.high) == (0, 0, 0) for e in same.values())
    measured = meter.difference(probabilities, other)
    area = [roc_auc_score(labels, a) - roc_auc_score(labels, b) for a, b in zip(probabilities, other, strict=True)]
    assert measured["roc_auc"].value == pytest.approx(np.mean(area))
    alone = meter.classification(probabilities)["roc_auc"]
    # a shared change of the patients cancels: shifting a few by a little moves less than other patients would
    close = meter.difference(expit(np.log(probabilities / (1 - probabilities)) + 0.05), probabilities)["roc_auc"]
    assert close.high - close.low < 0.2 * (alone.high - alone.low)


def test_agreement_counts_sets_of_patients(meter, labels):
    sets = probabilities_of(labels, extra=(5,))
    sets[:, 7] = np.nan  # a patient with fewer cells than sets
    measured = meter.agreement(sets)
    kept = np.flatnonzero(np.arange(P) != 7)
    patients, minority = [], []
    for repeat in sets:
        votes = [(repeat[p] > 0.5).sum() for p in kept]
        patients.append(np.mean([0 < v < 5 for v in votes]))
        minority.append(np.mean([min(v, 5 - v) / 5 for v in votes]))
    assert measured["patients_with_disagreement"].value == pytest.approx(np.mean(patients))
    assert measured["sets_against_majority"].value == pytest.approx(np.mean(minority))
    assert measured["set_accuracy"].n == P - 1
    steady = np.repeat(sets[..., :1], 5, axis=-1)
    difference = meter.agreement_difference(steady, sets)["patients_with_disagreement"]
    assert difference.value == pytest.approx(-np.mean(patients))


def test_accuracy_by_cells_is_a_mean_over_draws(meter, labels):
    fewer = probabilities_of(labels, extra=(2, 3))
    rows = meter.by_cells(fewer, [1, 10])
    assert [size for size, _ in rows] == [1, 10]
    for index, (_, measured) in enumerate(rows):
        drawn = [slow_metrics(labels, fewer[s, :, index, d]) for s in range(2) for d in range(3)]
        expected = np.mean(drawn, axis=0)[[2, 3, 4]]
        assert [measured[n].value for n in ("accuracy", "balanced_accuracy", "roc_auc")] == pytest.approx(expected)


# --- joining folds


@pytest.fixture
def workshop(study, labels, tmp_path):
    settings = study("settings").read_settings()
    settings = dataclasses.replace(settings, folds=2, image_sets=5, cell_numbers={"sizes": [1, 3], "draws": 2})
    records = [
        {"id": f"P{i}", "label": int(label), "image": ["x"] * 8, "age": 50 + i / 2, "lymphocyte_count": 5 + i}
        for i, label in enumerate(labels)
    ]
    patients = study("patients").Patients(records, ("reactive", "tumoral"), "0" * 64)
    return study("workshop").Workshop(tmp_path, patients, settings)


def write_result(workshop, run, seed, calibrate=True, **more):
    split, labels = workshop.split(run), workshop.patients.labels
    rng = np.random.default_rng(seed)
    arrays = {"validation_index": split.validation, "test_index": split.test}
    for section, index in (("validation", split.validation), ("test", split.test)):
        arrays[f"{section}_logits"] = 3 * rng.normal(size=len(index)) + 2 * (2 * labels[index] - 1)
    arrays |= {name: make(rng, len(split.test)) for name, make in more.items()}
    workshop.write_result(run, arrays, {"calibrate": calibrate}, seconds=1.0)
    return arrays


def test_each_patient_gets_the_temperature_and_the_threshold_of_its_fold(study, workshop, labels):
    Run, written = study("grid").Run, {}
    sets = {"image_set_logits": lambda rng, n: rng.normal(size=(n, 5)), "gate": lambda rng, n: rng.random(n)}
    for repeat in (0, 2):
        for fold in range(2):
            run = Run("moe_p1_k32", repeat, fold)
            written[repeat, fold] = write_result(workshop, run, seed=10 * repeat + fold, **sets)
    joined = study("held_out").held_out(workshop, "moe_p1_k32", [0, 2])
    assert joined.repeats == (0, 2)
    assert joined.after.shape == (2, P)
    losses: dict[int, list[float]] = {}
    for (repeat, _), arrays in written.items():
        truth = labels[arrays["validation_index"]]
        two_class = np.stack([np.zeros(len(truth)), arrays["validation_logits"]], axis=1)
        losses.setdefault(repeat, []).append(fit_temperature(two_class, truth, at_bound="conservative").loss_after)
        temperature = slow_temperature(arrays["validation_logits"], truth)
        patients, row = arrays["test_index"], (0, 2).index(repeat)
        calibrated = arrays["test_logits"] / temperature
        np.testing.assert_allclose(joined.before[row, patients], expit(arrays["test_logits"]))
        np.testing.assert_allclose(joined.after[row, patients], expit(calibrated), rtol=1e-5)
        np.testing.assert_allclose(
            joined.more["image_sets"][row, patients], expit(arrays["image_set_logits"] / temperature), rtol=1e-5
        )
        np.testing.assert_array_equal(joined.more["gate"][row, patients], arrays["gate"])
        threshold = study("choices").youden_threshold(arrays["validation_logits"] / temperature, truth)
        np.testing.assert_array_equal(joined.at_threshold[row, patients], expit(calibrated) > threshold)
    np.testing.assert_allclose(joined.validation_losses, [np.mean(losses[repeat]) for repeat in (0, 2)])
    np.testing.assert_array_equal(joined.of([2]), joined.after[1:])


def test_what_was_fitted_to_validation_patients_is_not_calibrated_on_them(study, workshop):
    run = study("grid").Run
    arrays = [write_result(workshop, run("shortcut_age", 0, fold), fold, calibrate=False) for fold in range(2)]
    joined = study("held_out").held_out(workshop, "shortcut_age", [0])
    np.testing.assert_allclose(joined.after, joined.before)
    np.testing.assert_array_equal(joined.at_threshold[0, arrays[0]["test_index"]], arrays[0]["test_logits"] > 0)


def test_folds_that_hold_out_a_patient_twice_are_refused(study, workshop):
    run = study("grid").Run
    write_result(workshop, run("mlp", 0, 0), 0)
    path = workshop.result_path(run("mlp", 0, 1))
    path.write_bytes(workshop.result_path(run("mlp", 0, 0)).read_bytes())
    with pytest.raises(DataError, match="every patient once"):
        study("held_out").held_out(workshop, "mlp", [0])


@pytest.mark.parametrize("calibrated", [False, True])
def test_the_average_is_that_of_both_logits_for_every_set_of_cells(study, workshop, calibrated):
    Run = study("grid").Run
    sets = {
        "image_set_logits": lambda rng, n: rng.normal(size=(n, 5)),
        "fewer_logits": lambda rng, n: rng.normal(size=(n, 2, 2)),
    }
    image = write_result(workshop, Run("cnn_mean_k32", 1, 0), 1, **sets)
    attributes = write_result(workshop, Run("mlp", 1, 0), 2)
    for name in ("cnn_mean_k32", "mlp"):
        path = workshop.weights_path(Run(name, 1, 0))
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"head.weight": torch.tensor([1.0]), "head.bias": torch.tensor(2.0), name: torch.zeros(1)}, path)
    run = Run("avg_calibrated_k32" if calibrated else "avg_mean_k32", 1, 0)
    temperatures = np.ones(2)
    if calibrated:
        labels = workshop.patients.labels
        for place, result in enumerate((image, attributes)):
            temperatures[place] = slow_temperature(result["validation_logits"], labels[result["validation_index"]])
        assert not np.allclose(temperatures, 1, atol=0.05)
    for place, result in enumerate((image, attributes)):
        for key in ("test_logits", "image_set_logits", "fewer_logits"):
            if key in result:
                result[key] = result[key] / temperatures[place]
    arrays, facts = study("network_run").average_run(workshop, run)
    assert facts["calibrate"]
    expected = (image["test_logits"] + attributes["test_logits"]) / 2
    np.testing.assert_allclose(arrays["test_logits"], expected, rtol=1e-5, atol=1e-6)
    for patient in range(len(image["test_logits"])):
        for subset in range(5):
            expected = (image["image_set_logits"][patient, subset] + attributes["test_logits"][patient]) / 2
            assert arrays["image_set_logits"][patient, subset] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(
        arrays["fewer_logits"],
        (image["fewer_logits"] + attributes["test_logits"][:, None, None]) / 2,
        rtol=1e-5,
        atol=1e-6,
    )
    weights = torch.load(workshop.weights_path(run), weights_only=True)
    for place, (prefix, name) in enumerate((("image_expert", "cnn_mean_k32"), ("attribute_expert", "mlp"))):
        assert f"{prefix}.{name}" in weights
        assert weights[f"{prefix}.head.weight"].item() == pytest.approx(1 / temperatures[place])
        assert weights[f"{prefix}.head.bias"].item() == pytest.approx(2 / temperatures[place])
    assert len(weights) == 6


def test_an_ensemble_is_the_mean_of_its_members_calibrated_on_patients_of_their_own(study, workshop, labels):
    Run = study("grid").Run
    run = Run("moe_p1_k32_ensemble", 1, 0)
    members = [Run("moe_p1_k32", 1, 0, member) for member in range(3)]
    assert study("grid").required_runs(workshop.settings, run)[-3:] == members
    assert [member.key for member in members] == [
        f"moe_p1_k32/repeat2_fold1{end}" for end in ("", "_member2", "_member3")
    ]
    assert (
        len({json.dumps(study("network_run").training_overrides(workshop, member)["seed"]) for member in members}) == 3
    )
    more = {"image_set_logits": lambda rng, n: rng.normal(size=(n, 5)), "gate": lambda rng, n: rng.random(n)}
    written = [write_result(workshop, member, seed=place, **more) for place, member in enumerate(members)]
    arrays, facts = study("ensemble_run").ensemble_run(workshop, run)
    assert not facts["calibrate"]  # nothing is fitted to the mean
    probabilities, sets = 0, 0
    for result in written:
        temperature = slow_temperature(result["validation_logits"], labels[result["validation_index"]])
        probabilities = probabilities + expit(result["test_logits"] / temperature) / 3
        sets = sets + expit(result["image_set_logits"] / temperature) / 3
        for patient, value in zip(result["validation_index"], result["validation_logits"], strict=True):
            (place,) = np.flatnonzero(arrays["validation_index"] == patient)
            assert arrays["validation_logits"][place] == pytest.approx(value / temperature, rel=1e-5)
    np.testing.assert_allclose(expit(arrays["test_logits"]), probabilities, rtol=1e-5)
    np.testing.assert_allclose(expit(arrays["image_set_logits"]), sets, rtol=1e-5)
    np.testing.assert_allclose(arrays["gate"], np.mean([result["gate"] for result in written], axis=0))
    # the members' results do not count as further folds of the model itself
    assert workshop.is_done(members[2]) is False  # without its weights
    assert json.loads(workshop.recipe(members[0]))["run"] == {"model": "moe_p1_k32", "repeat": 1, "fold": 0}


# --- choices on the validation patients


def test_the_threshold_is_the_best_of_all(study):
    rng = np.random.default_rng(3)
    for _ in range(20):
        truth = rng.permutation(np.repeat([0, 1], [6, 13]))
        logits = rng.normal(size=19) + truth
        threshold = study("choices").youden_threshold(logits, truth)
        of_all = [balanced_accuracy_score(truth, logits > t) for t in np.r_[-9, logits, 9]]
        assert balanced_accuracy_score(truth, expit(logits) > threshold) == pytest.approx(max(of_all))


def test_the_setting_with_the_lowest_calibrated_loss_is_chosen(study):
    truth = np.array([0, 1, 1, 0, 1, 0, 1, 1])
    logits = {"good": 9.0 * (2 * truth - 1), "bad": np.arange(8.0) - 3.5, "none": np.zeros(8)}
    logits["good"][0] *= -1
    candidates = [{"name": name} for name in ("none", "bad", "good")]
    model, setting = study("choices").choose(candidates, lambda s: s["name"], lambda name: logits[name], truth)
    assert (model, setting) == ("good", {"name": "good"})
    # on another scale it is as good: a temperature takes it out
    loss = study("choices").calibrated_loss
    assert loss(100 * logits["good"], truth) == pytest.approx(loss(logits["good"], truth), abs=1e-6)
    assert loss(logits["none"], truth) == pytest.approx(-log_expit(0.0))


# --- grid and recipe


def test_what_a_run_needs_comes_before_it_and_nothing_twice(study):
    for mode in ("default", "quick", "full"):
        settings = study("settings").read_settings(mode)
        runs = study("grid").all_runs(settings)
        assert len({run.key for run in runs}) == len(runs)
        place = {run: number for number, run in enumerate(runs)}
        for run in runs:
            assert all(place[needed] < place[run] for needed in study("grid").required_runs(settings, run))


def test_the_default_study_has_what_it_promises_in_its_order(study):
    settings = study("settings").read_settings()
    runs = study("grid").all_runs(settings)
    first = {}
    for number, run in enumerate(runs):
        first.setdefault((run.model, run.repeat), number)
    order = ["logistic_regression", "spec_mil", "cnn_mean_k32", "moe_p1_k32", "moe_p1_k32_ensemble", "attention_k32"]
    order += ["moe_p2_k32", "moe_p3_k32", "cnn_mean_k64"]
    places = [first[name, 0] for name in order]
    assert places == sorted(places)
    assert first["attention_k32", 0] < first["cnn_mean_k32", 1] < first["moe_p1_k32", 1] < first["cnn_mean_k64", 0]
    for kind in ("attributes", "classical", "shortcut"):
        names = [name for name, repeat in first if repeat == 0 and settings.models[name]["kind"] == kind]
        assert all((name, repeat) in first for name in names for repeat in range(3))
    assert settings.folds == 5
    assert settings.image_sets == 5
    for kind, number in (("attributes", 9), ("classical", 8), ("shortcut", 3)):
        assert sum(settings.models[name]["kind"] == kind for name, repeat in first if repeat == 0) == number
    full = {run.model for run in study("grid").all_runs(study("settings").read_settings("full"))}
    assert full == set(settings.models)
    assert {run.repeat for run in study("grid").all_runs(study("settings").read_settings(repeats=1))} == {0}


def test_the_default_study_ends_in_its_time_on_two_cores(study):
    settings = study("settings").read_settings()
    expected = sum(settings.models[run.model]["minutes"] for run in study("grid").all_runs(settings))
    features = 10_233 * 0.04 / 60  # seconds that the features of a cell take, once
    assert settings.hours == 3
    assert (expected + features) / 2 <= 60 * settings.hours
    # nor can a last run, started just before its turn, take it far beyond
    assert max(settings.models[run.model]["minutes"] for run in study("grid").all_runs(settings)) <= 20


def test_a_result_is_reused_only_if_it_was_made_alike(study, workshop):
    Run = study("grid").Run
    written = [Run(model, 0, 0) for model in ("svm", "mlp", "cnn_mean_k32", "moe_p2_k32")]
    for run in written:
        write_result(workshop, run, 0)
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


def test_what_the_metadata_say_belongs_to_the_recipe_of_networks(study, workshop, tmp_path, monkeypatch):
    Run, resolved = study("grid").Run, study("resolved")
    written = [Run(model, 0, 0) for model in ("svm", "mlp", "cnn_mean_k32", "moe_p2_k32")]
    for run in written:
        write_result(workshop, run, 0)
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


def test_a_mixture_starts_from_the_experts_of_its_own_fold(study, workshop):
    overrides = study("network_run").training_overrides(workshop, study("grid").Run("moe_p3_k32", 2, 1))
    assert overrides["paradigm"] == "P3"
    assert overrides["seed"] == 2
    assert overrides["image_expert_file"].endswith("weights/cnn_mean_k32/repeat3_fold2.pt")
    assert overrides["attribute_expert_file"].endswith("weights/mlp/repeat3_fold2.pt")


def test_settings_that_do_not_fit_are_named(study, tmp_path):
    read, content = study("settings").read_settings, read_json(study("settings").BUNDLE_ROOT / "configs" / "study.json")

    def refused(match, **changed):
        file = tmp_path / "study.json"
        file.write_text(json.dumps({"default": {**content["default"], **changed}}))
        with pytest.raises(DataError, match=match):
            read(path=file)

    models = content["default"]["models"]
    refused("reference names the model 'x'", reference="x")
    refused("'mlp' is 'net', expected one of", models={**models, "mlp": {**models["mlp"], "kind": "net"}})
    refused("'mlp' has or lacks colour", models={**models, "mlp": {**models["mlp"], "colour": 1}})
    refused("unexpected keyword argument 'speed'", speed=3)


# --- the classical route


class StubFeatures:
    """Stands for the features of images: a row that tells the file, and how often they were asked for."""

    def __init__(self):
        self.calls = 0

    def many(self, paths, workers=1, cache=None):
        self.calls += 1
        return np.stack([np.full(94, float(path)) for path in paths])


@pytest.fixture
def with_stub(study, workshop, monkeypatch):
    records, number = [], 0
    for record in workshop.patients.records:
        size = 3 + record["age"] % 1 * 4  # 3 or 5 cells
        records.append({**record, "image": [str(number + k) for k in range(int(size))]})
        number += len(records[-1]["image"])
    stub = StubFeatures()
    monkeypatch.setattr(study("rivals"), "FeatureExtraction", lambda: stub)
    study("rivals")._features.cache_clear()
    yield dataclasses.replace(workshop, patients=dataclasses.replace(workshop.patients, records=records)), stub
    study("rivals")._features.cache_clear()


def test_images_are_read_once_for_all_runs_of_a_process(study, with_stub):
    workshop, stub = with_stub
    bags = study("rivals")._bags
    plain, joined = bags(workshop, with_attributes=False), bags(workshop, with_attributes=True)
    assert stub.calls == 1
    other = dataclasses.replace(workshop, patients=dataclasses.replace(workshop.patients, sha256="1" * 64))
    bags(other, with_attributes=False)
    assert stub.calls == 2  # of other contents they are not the same
    for record, bag, both in zip(workshop.patients.records, plain, joined, strict=True):
        rows = [[float(path)] * 94 for path in record["image"]]
        np.testing.assert_array_equal(bag, rows)
        attributes = [record["age"], np.log(record["lymphocyte_count"])]
        np.testing.assert_array_equal(both, [row + attributes for row in rows])


def test_each_repeat_has_a_seed_of_its_own(study, workshop):
    models, make = workshop.settings.models, study("rivals").bag_classifier
    for name, model in models.items():
        if model["kind"] == "classical":
            made = [make(model["classifier"], repeat) for repeat in range(3)]
            has_seed = "seed" in made[0].get_params()
            assert [classifier.get_params().get("seed") for classifier in made] == [0, 1, 2] if has_seed else [None] * 3
            assert has_seed == ("em_dd" in name or "spec_mil" in name)


# --- the ensemble


def test_the_calibration_says_what_it_was_fitted_on(study):
    fitted_on = study("keep_ensemble").fitted_on
    assert "confidences of the single member that had not seen the patient" in fitted_on(1)
    assert "the mean of 3 members that had not seen the patient" in fitted_on(3)
    # why it matters: a mean of probabilities is never more confident than they are on average
    probabilities = np.random.default_rng(0).random((5, 200))
    assert (np.abs(2 * probabilities.mean(axis=0) - 1) <= np.abs(2 * probabilities - 1).mean(axis=0) + 1e-12).all()


# --- beside


def test_published_figures_agree_with_each_other(study):
    published = study("published")
    settings = study("settings").read_settings()
    for name, figures in {**published.PUBLISHED, "biologists": published.BIOLOGISTS}.items():
        assert name == "biologists" or name in settings.models
        if "sensitivity" in figures:
            middle = (figures["sensitivity"] + figures["specificity"]) / 2
            assert figures["balanced_accuracy"] == pytest.approx(middle, abs=2e-4)
            if name != "biologists":  # 29 tumoral and 13 reactive patients
                right = (29 * figures["sensitivity"] + 13 * figures["specificity"]) / 42
                assert figures["accuracy"] == pytest.approx(right, abs=2e-4)


def test_the_table_says_what_it_left_out(study):
    read = study("settings").read_settings
    texts = study("table").left_out(read(), read("full"))
    assert any(text.startswith("Not in this study") and "K = 8" in text and "224 px" in text for text in texts)
    assert any(text.startswith("1 instead of 5 repeats") and "MOE-P2" in text for text in texts)
    assert any("MOE-P1, mean, K = 64" in text and "CNN, max, K = 32" in text for text in texts)
    assert any(text.startswith("3 instead of 5 repeats") and "MOE-P1" in text for text in texts)
    assert "Networks trained with max_epochs 60 instead of 30" in texts
    assert study("table").left_out(read("full"), read("full")) == []
    assert "numbers mean nothing" in study("table").left_out(read("quick"), read("full"))[-1]
