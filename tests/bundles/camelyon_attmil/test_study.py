"""Small studies of each kind of bags from the data to the table, and what is kept against the networks themselves."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from shared.data.errors import DataError
from shared.data.files import read_json, write_json

RNG = np.random.default_rng(0)
TWO = {"gated_attention": None, "mean_embedding": None, "mean_instance": None, "max_embedding": None}
SMALL = {
    "mil-classic": {
        "conditions": {"musk1": None, "elephant": None},
        "models": TWO,
        "training": {"epochs": 2, "averaged_epochs": 2},
        "repeats": 2,
        "folds": 2,
        "resamples": 50,
    },
    "mnist-bags": {
        "conditions": {
            "size10_bags100": None,
            "size10_bags150": None,
            "size10_bags200": None,
            "size10_bags50": {"bags": 8, "mean_size": 4, "size_deviation": 1},
        },
        "models": {**TWO, "mean_embedding": {"title": "mean", "network": "mean_embedding"}},
        "training": {"epochs": 1, "averaged_epochs": 1, "amp": False, "choose": True, "patience": None},
        "validation_share": 0.25,
        "test_bags": 6,
        "repeats": 2,
        "resamples": 50,
    },
    "colon": {
        "models": TWO,
        "training": {"epochs": 1, "averaged_epochs": 1, "instances_per_bag": 3, "amp": False},
        "validation_share": 0,
        "repeats": 1,
        "folds": 2,
        "resamples": 50,
    },
}


@pytest.fixture
def write_data(tmp_path):
    def classic(folder):
        lengths = np.tile([1, 2, 3], 4)
        labels = np.arange(12) % 2
        features = RNG.normal(size=(lengths.sum(), 4)) + np.repeat(labels, lengths)[:, None]
        features[:, 3] = 7.0  # says nothing
        np.savez(folder / "fox.npz", X=features, bag=np.repeat(np.arange(12), lengths), y=labels)
        train = np.ones((2, 2, 12), dtype=bool)
        train[:, 0, :6] = train[:, 1, 6:] = False
        np.savez(folder / "fox_folds.npz", train=train)

    def mnist(folder):
        for name, number in (("train", 300), ("t10k", 200)):
            labels = (np.arange(number) % 10).astype(np.uint8)
            images = RNG.integers(0, 256, (number, 28, 28), dtype=np.uint8)
            for kind, array, magic in (("images-idx3", images, 2051), ("labels-idx1", labels, 2049)):
                header = np.array([magic, *array.shape], dtype=">u4").tobytes()
                (folder / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes(), mtime=0))

    def colon(folder):
        (folder / "images").mkdir()
        lines = ["image,x,y,class"]
        for number in range(8):
            pixels = RNG.integers(0, 256, (60, 60, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"img{number}.png")
            kinds = ["others", "epithelial" if number % 2 else "inflammatory", "fibroblast", "others"]
            lines += [f"img{number},{5 + 12 * k},{50 - 9 * k},{kind}" for k, kind in enumerate(kinds)]
        (folder / "nuclei.csv").write_text("\n".join(lines))

    def write(study):
        folder = tmp_path / "data"
        folder.mkdir()
        {"mil-classic": classic, "mnist-bags": mnist, "colon": colon}[study](folder)
        return folder

    return write


@pytest.fixture
def small_file(scripts, tmp_path):
    content = read_json(scripts("study.settings").STUDY_FILE)
    for study, overlay in SMALL.items():
        content[study]["small"] = overlay
    write_json(tmp_path / "study.json", content)
    return tmp_path / "study.json"


@pytest.fixture
def run(scripts, small_file, tmp_path, monkeypatch):
    monkeypatch.setattr(scripts("study.settings"), "STUDY_FILE", small_file)

    def do(study, data, **options):
        output = tmp_path / "out"
        outcome = scripts("study.main").run_study(data, output, "small", workers=0, study=study, **options)
        assert outcome.failures == {}
        return outcome

    return do


def networks_logits(scripts, settings, data, run):
    """Train the network of a run once more, and return the logits of its test bags."""
    parts = scripts("study.bag_parts").bag_parts(settings, data, run)
    torch.manual_seed(run.seed)
    network = scripts("study.one_run").build_network(settings, run.model, parts.test.instances)
    module = scripts("study.bag_training")
    training = settings.training_of(run.condition)
    trained = module.train_bags(network, parts.training, parts.validation, training, run.seed, parts.augment)
    return module.predict_bags(trained.network, parts.test).numpy(), parts, trained.network


@pytest.mark.slow
@pytest.mark.parametrize("study", SMALL)
def test_from_data_to_table(scripts, run, write_data, tmp_path, study):
    data = write_data(study)
    outcome = run(study, data)
    for name in ("table.md", "table.csv", "table.html"):
        assert tmp_path / "out" / name in outcome.written
    settings = scripts("study.settings").read_settings(study, "small")
    runs = scripts("study.grid").all_runs(settings)
    workshop = scripts("study.workshop").BagWorkshop
    parts = scripts("study.bag_parts")
    sha256 = {name: parts.data_sha256(settings, data, name) for name in settings.conditions}
    kept = workshop(tmp_path / "out", data, sha256, settings)
    assert all(kept.is_done(run) for run in runs)

    chosen = runs[1]
    logits, bags, network = networks_logits(scripts, settings, data, chosen)
    result = kept.result(chosen)
    np.testing.assert_allclose(result["test_logits"], logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(result["test_labels"], bags.test.labels)
    if "instance_values" in result and hasattr(network.level, "pooling"):
        for bag in range(len(bags.test)):
            rows = bags.test.rows(torch.tensor([bag]))
            if settings.models[chosen.model]["network"] == "attention":
                weights = network.instance_weights(bags.test.instances[rows], torch.tensor([len(rows)]))
                np.testing.assert_allclose(result["instance_values"][rows], weights.detach(), rtol=1e-4, atol=1e-6)

    table = pd.read_csv(tmp_path / "out" / "table.csv")
    rows = table[(table["measure"] == "accuracy") & table["value"].notna()]
    assert len(rows) == len(settings.conditions) * len(settings.models)
    results = scripts("study.results").BagResults(kept, runs)
    for (condition, model), found in results.found.items():
        title = {"data": settings.conditions[condition]["title"], "network": settings.models[model]["title"]}
        row = rows[(rows["data"] == title["data"]) & (rows["network"] == title["network"])]
        expected = ((found.logits > 0) == (found.labels == 1)).mean()
        assert float(row["value"].iloc[0]) == pytest.approx(expected)
        # paired with attention: the same held-out bags, the same repeats
        if model != "attention":
            paired = table[(table["section"] == "Paired differences") & (table["measure"] == "to attention")]
            paired = paired[(paired["data"] == title["data"]) & (paired["network"] == title["network"])]
            both = (found.logits, results.found[condition, "attention"].logits)
            if study == "mnist-bags":
                values = [[roc_auc_score(found.labels, row) for row in logits] for logits in both]
            else:
                values = [((logits > 0) == (found.labels == 1)).mean(axis=1) for logits in both]
            assert float(paired["value"].iloc[0]) == pytest.approx(np.subtract(*values).mean())
    pictures = {"mil-classic": 1, "mnist-bags": 2, "colon": 2}[study]
    assert len(list((tmp_path / "out").glob("*.png"))) == pictures
    assert (tmp_path / "out" / "table.html").read_text().count("data:image/png;base64,") == pictures


@pytest.mark.slow
def test_a_study_goes_on_where_it_ended(run, write_data, tmp_path):
    data = write_data("mil-classic")
    run("mil-classic", data, seeds=1)
    results = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").rglob("*.npz")}
    assert len(results) == 1 * 2 * 2
    run("mil-classic", data)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").rglob("*.npz")}
    assert len(after) == 2 * len(results)
    assert {path: after[path] for path in results} == results
    # only the table of what is there
    next(iter(results)).unlink()
    run("mil-classic", data, table_only=True)
    assert len(list((tmp_path / "out" / "runs").rglob("*.npz"))) == len(after) - 1
    assert "1 of 2 runs" in (tmp_path / "out" / "table.md").read_text()


def test_what_decides_a_result_is_part_of_its_recipe(scripts, small_file, write_data, tmp_path):
    data = write_data("mil-classic")

    def recipes(change):
        content = read_json(small_file)
        change(content["mil-classic"])
        file = tmp_path / "changed.json"
        write_json(file, content)
        settings = scripts("study.settings").read_settings("mil-classic", "small", path=file)
        sha256 = {"fox": scripts("study.bag_parts").data_sha256(settings, data, "fox")}
        kept = scripts("study.workshop").BagWorkshop(tmp_path, data, sha256, settings)
        return {run.key: kept.recipe(run) for run in scripts("study.grid").all_runs(settings)}

    before = recipes(lambda study: None)
    assert len(set(before.values())) == len(before)
    for change in (
        lambda study: study["default"]["conditions"]["fox"].update(title="other", minutes=9),
        lambda study: study["small"].update(resamples=7),
    ):
        assert recipes(change) == before
    for change in (
        lambda study: study["small"]["training"].update(learning_rate=0.3),
        lambda study: study["default"]["conditions"]["fox"].update(training={"epochs": 7, "averaged_epochs": 2}),
        lambda study: study["default"]["encoder"].update(dropout=0.1),
        lambda study: study["default"].update(attention_dimension=7),
        lambda study: study["small"].update(validation_share=0.2),
    ):
        changed = recipes(change)
        assert all(changed[key] != before[key] for key in before)
    with np.load(data / "fox.npz") as file:
        arrays = dict(file)
    arrays["X"][0, 0] += 1
    np.savez(data / "fox.npz", **arrays)
    assert all(recipe != before[key] for key, recipe in recipes(lambda study: None).items())


@pytest.mark.parametrize("study", SMALL)
def test_nothing_of_the_held_out_bags_is_trained_on(scripts, small_file, write_data, study):
    data = write_data(study)
    settings = scripts("study.settings").read_settings(study, "small", path=small_file)
    read = scripts("study.bag_parts").bag_parts
    held_out: dict[tuple[str, int], list[int]] = {}
    for run in scripts("study.grid").all_runs(settings):
        parts = read(settings, data, run)
        sections = [parts.training, parts.test] + ([parts.validation] if parts.validation is not None else [])
        if study == "mnist-bags":
            # bags are drawn: the test bags from digits of their own
            assert len(parts.training) + len(parts.validation) == 8
            assert parts.test_index.tolist() == list(range(6))
            continue
        names = [set(section.ids) for section in sections]
        assert len(set().union(*names)) == sum(map(len, names)) == sum(map(len, sections))
        held_out.setdefault((run.model, run.repeat), []).extend(parts.test_index.tolist())
    for indices in held_out.values():
        assert sorted(indices) == list(range(len(indices)))


def test_features_are_standardised_by_the_training_instances(scripts, small_file, write_data):
    data = write_data("mil-classic")
    settings = scripts("study.settings").read_settings("mil-classic", "small", path=small_file)
    run = scripts("study.grid").Run("fox", "attention", 0, 1)
    parts = scripts("study.bag_parts").bag_parts(settings, data, run)
    known = parts.training.instances.numpy()
    np.testing.assert_allclose(known.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(known.std(0), [1, 1, 1, 0], atol=1e-5)
    assert (parts.test.instances[:, 3] == 0).all()


def test_the_settings_of_all_modes_are_whole(scripts):
    read = scripts("study.settings").read_settings
    for study in scripts("study.main").STUDIES:
        for mode in ("default", "quick", "full"):
            settings = read(study, mode) if study in SMALL else None
            if settings is None:
                continue
            networks = scripts("networks")
            known = {**networks.EMBEDDING_LEVEL, **networks.INSTANCE_LEVEL}
            assert {model["network"] for model in settings.models.values()} <= set(known)
            assert settings.conditions


def test_wrong_names_are_named(scripts, small_file, write_data, tmp_path):
    read = scripts("study.settings").read_settings
    with pytest.raises(DataError, match="no study 'digits'"):
        read("digits", path=small_file)
    content = json.loads(small_file.read_text())
    content["colon"]["default"]["data"] = "lung"
    write_json(small_file, content)
    with pytest.raises(DataError, match="is of 'lung', expected one of classic, mnist, colon"):
        read("colon", path=small_file)
    content["mil-classic"]["default"]["training"]["rate"] = 1
    write_json(small_file, content)
    with pytest.raises(DataError, match=r"unexpected keyword argument 'rate'"):
        read("mil-classic", path=small_file)
    with pytest.raises(DataError, match="no study 'digits'; it has"):
        scripts("study.main").run_study(tmp_path, tmp_path, study="digits")
    settings = read("mnist-bags", path=small_file)
    with pytest.raises(DataError, match="no files of 'size10_bags50' there"):
        scripts("study.bag_parts").data_sha256(settings, tmp_path / "nowhere", "size10_bags50")
