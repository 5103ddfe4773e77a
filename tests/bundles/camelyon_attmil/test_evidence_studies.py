"""The studies of sparse evidence and of explanations on small slides: from features to tables, against other means."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import t as student_t
from sklearn.metrics import roc_auc_score, roc_curve

from shared.data.datalist import write_datalist
from shared.data.errors import DataError
from shared.data.files import read_json, write_json
from shared.saliency.bags.exact_shapley import ExactShapley
from shared.saliency.bags.quality.bag_quality import bag_quality

KINDS = ("macro", "micro", "itc")
POSITIVE = {"none": 0, "macro": 8, "micro": 3, "itc": 1}
SIDE, GRID, E = 256, 5, 6
OTHERS = (
    *("gated_attention", "attention_context", "attention_maximum_context"),
    *("mean_embedding", "max_embedding", "mean_instance", "max_instance"),
)
NONE = dict.fromkeys(OTHERS)
SMALL = {
    "camelyon_attmil": {
        "slides": {
            "models": NONE,
            "encoder": {"embedding": 4},
            "attention_dimension": 3,
            "training": {"epochs": 3},
            "repeats": 2,
            "folds": 2,
            "resamples": 50,
        },
        "faint": {"models": {"gated_attention": None, "max_embedding": None}, "repeats": 1},
        "small": {"models": {"max_embedding": None}, "repeats": 1},
        "encoder": {"conditions": {"encoder": {"title": "with another encoder"}}, "repeats": 1},
        "planted": {
            "conditions": {
                "sparse": {"bags": 6, "planted": {"features": 4, "instances": 30, "evidence": [1, 2], "hard": 1}},
                "weak": None,
            },
            "models": NONE,
            "encoder": {"embedding": 4},
            "attention_dimension": 3,
            "training": {"epochs": 2},
            "repeats": 3,
            "test_bags": 12,
        },
    },
    "bag-explanations": {
        "sets": {
            "mnist": None,
            "colon": None,
            "slides": {
                "overlay": {
                    "encoder": {"embedding": 4},
                    "attention_dimension": 3,
                    "training": {"epochs": 3},
                    "repeats": 2,
                    "folds": 2,
                },
                "positive": 3,
                "negative": 2,
            },
            "slides_maximum": {
                "overlay": {"attention_dimension": 3, "training": {"epochs": 1}, "repeats": 1, "folds": 2},
                "positive": 1,
                "negative": 1,
            },
        }
    },
}


@pytest.fixture
def folder(scripts, tmp_path):
    """Twelve slides of 25 tiles: six normal ones, and two of each kind."""
    features, annotations = scripts("feature_file"), scripts("annotations")
    rng = np.random.default_rng(0)
    root = tmp_path / "slides_of_a_study"
    corners = SIDE * np.stack(np.meshgrid(np.arange(GRID), np.arange(GRID)), axis=-1).reshape(-1, 2)
    records, rows = [], []
    for number, kind in enumerate(["none"] * 6 + [kind for kind in KINDS for _ in range(2)]):
        name = f"slide_{number:02d}"
        share = np.zeros(len(corners), dtype=np.float32)
        share[: POSITIVE[kind]] = 0.9
        values = rng.normal(size=(len(corners), E)) + 4.0 * (share > 0)[:, None] * np.arange(E) / E
        attributes = features.FeatureAttributes(
            name, mpp=0.5, tile_size=SIDE, level0_tile_size=SIDE, slide_size=(GRID * SIDE,) * 2, slide_mpp=0.5
        )
        part = (values.astype(np.float16), corners.astype(np.int64), share)
        features.write_features(root / "features" / f"{name}.h5", [part], len(corners), attributes)
        record = {"id": name, "patient": name, "label": int(kind != "none"), "features": f"features/{name}.h5"}
        if kind != "none":
            width = SIDE * min(POSITIVE[kind], GRID)
            box = np.array([[0, 0], [width, 0], [width, SIDE], [0, SIDE]], dtype=float)
            outline = annotations.Outline("_0", "_0", box)
            annotations.write_asap(root / f"{name}.xml", annotations.Annotation((outline,)))
            record["annotation"] = f"{name}.xml"
        records.append(record)
        rows.append({"slide": f"training/{name}.tif", "kind": kind})
    write_datalist(root / "datalist.json", {"training": records}, classes=("normal", "tumour"))
    (root / "slides").mkdir()
    pd.DataFrame(rows).to_csv(root / "slides" / "phantom.csv", index=False)
    return root


@pytest.fixture
def run(scripts, folder, tmp_path, monkeypatch):
    """``run(study)`` does a small study on the slides of the folder; returns the folder of its tables."""
    content = read_json(scripts("study.settings").STUDY_FILE)
    for study, overlay in SMALL.items():
        content[study]["small"] = overlay
    write_json(tmp_path / "study.json", content)
    monkeypatch.setattr(scripts("study.settings"), "STUDY_FILE", tmp_path / "study.json")
    for module in ("study.slide_study", "study.explanation_study"):
        monkeypatch.setattr(scripts(module), "phantom_folder", lambda *arguments: folder)

    def do(study):
        output = tmp_path / study
        outcome = scripts("study.main").run_study(tmp_path, output, "small", workers=0, study=study)
        assert outcome.failures == {}
        assert all(path.exists() for path in outcome.written)
        return output

    return do


def estimate(table, measure, **names):
    rows = table[table["measure"] == measure]
    for name, text in names.items():
        rows = rows[rows[name] == text]
    assert len(rows) == 1
    return rows.iloc[0]


def sensitivity_at(labels, logits, specificity):
    false, true, _ = roc_curve(labels, logits, drop_intermediate=False)
    return true[false <= 1 - specificity + 1e-9].max()


def test_slides_by_size_and_planted_bags(scripts, run, folder):
    output = run("camelyon_attmil")
    whole = pd.read_csv(output / "table.csv")
    sections = {"Phantom slides by the size of their metastases", "Phantom slides: paired differences"}
    others = (
        "Phantom slides with faint and few metastases",
        "Phantom slides with one small metastasis",
        "With another encoder",
    )
    assert set(whole["section"]) == {
        *sections,
        *(f"{title} by the size of their metastases" for title in others),
        *(f"{title}: paired differences" for title in others),
        "Planted bags",
    }
    table = whole[~whole["section"].str.startswith(others)]
    slides = scripts("study.phantom_slides").read_phantom_slides(folder, 0.1)
    assert slides.kinds.tolist() == ["none"] * 6 + ["macro"] * 2 + ["micro"] * 2 + ["itc"] * 2
    settings = scripts("study.settings").read_settings("camelyon_attmil", "small", part="slides")
    parts = scripts("study.bag_parts")
    sha256 = {"phantoms": parts.data_sha256(settings, folder, "phantoms")}
    kept = scripts("study.workshop").BagWorkshop(output / "slides", folder, sha256, settings)
    found = scripts("study.results").BagResults(kept, scripts("study.grid").all_runs(settings)).found
    assert len(found) == 2
    labels = slides.bags.labels.numpy()
    for kind, heading in scripts("study.slide_table").TITLES.items():
        chosen = np.isin(slides.kinds, [kind, "none"])
        areas = {
            model: [roc_auc_score(labels[chosen], logits[chosen]) for logits in held_out.logits]
            for (_, model), held_out in found.items()
        }
        sensitive = {
            model: [sensitivity_at(labels[chosen], logits[chosen], 0.9) for logits in held_out.logits]
            for (_, model), held_out in found.items()
        }
        by_size, paired = (table[table["section"] == section] for section in sorted(sections))
        for model, title in (("attention", "attention"), ("attention_maximum", "attention and maximum")):
            assert estimate(by_size, heading, network=title)["value"] == pytest.approx(np.mean(areas[model]))
            row = estimate(by_size, f"sensitivity, {heading}", network=title)
            assert row["value"] == pytest.approx(np.mean(sensitive[model]))
        for measure, values in ((heading, areas), (f"sens., {heading}", sensitive)):
            row = estimate(paired, measure, network="attention and maximum", less="attention")
            difference = np.array(values["attention_maximum"]) - np.array(values["attention"])
            assert row["value"] == pytest.approx(difference.mean())
            assert row["low"] <= row["value"] <= row["high"]
            # the interval is over repeats, too: two of them make it wide, to -1 and 1 at most
            if difference.std() > 0:
                reach = student_t.ppf(0.975, 1) * difference.std(ddof=1) / 2**0.5
                assert row["high"] >= min(1.0, difference.mean() + reach) - 1e-9

    planted = scripts("study.settings").read_settings("camelyon_attmil", "small", part="planted")
    sha256 = {"sparse": parts.data_sha256(planted, output, "sparse")}
    kept = scripts("study.workshop").BagWorkshop(output / "planted", output / "planted", sha256, planted)
    found = scripts("study.results").BagResults(kept, scripts("study.grid").all_runs(planted)).found
    areas = {
        model: np.array([roc_auc_score(bags.labels, logits) for logits in bags.logits])
        for (_, model), bags in found.items()
    }
    differences = areas["attention_maximum"] - areas["attention"]
    row = estimate(table, "difference to attention", network="attention and maximum")
    assert row["value"] == pytest.approx(differences.mean())
    reach = student_t.ppf(0.975, 2) * differences.std(ddof=1) / 3**0.5
    assert row["high"] - row["value"] == pytest.approx(reach)
    assert (output / "lesion_sizes.png").is_file()


def test_every_seed_has_bags_of_its_own_and_every_network_the_same(scripts, run):
    settings = scripts("study.settings").read_settings("camelyon_attmil", "small", part="planted")
    read, run_of = scripts("study.bag_parts").bag_parts, scripts("study.grid").Run
    first = read(settings, None, run_of("sparse", "attention", 0))
    same = read(settings, None, run_of("sparse", "attention_maximum", 0))
    other = read(settings, None, run_of("sparse", "attention", 1))
    torch.testing.assert_close(first.training.instances, same.training.instances)
    assert not torch.equal(first.training.instances, other.training.instances)
    assert not torch.equal(first.training.instances, first.test.instances[: len(first.training.instances)])
    assert len(first.training) == 6
    assert len(first.test) == 12


def test_explanations_are_measured_on_held_out_bags(scripts, run, folder):
    output = run("bag-explanations")
    settings = scripts("study.explanation_settings").read_explanation_settings("bag-explanations", "small")
    module, parts = scripts("study.explanation_run"), scripts("study.bag_parts")
    sha256 = {name: parts.data_sha256(item.settings, folder, "phantoms") for name, item in settings.sets.items()}
    kept = module.ExplanationWorkshop(output, dict.fromkeys(settings.sets, folder), sha256, settings)
    chosen = module.ExplanationRun("slides", scripts("study.grid").Run("phantoms", "gated_attention", 0, fold=1))
    assert kept.is_done(chosen)
    result = kept.result(chosen)
    explained = settings.sets["slides"].settings
    of_run = parts.bag_parts(explained, folder, chosen.run)
    # half of the slides are held out: three of each label, of which two negative ones are explained
    assert sorted(result["labels"].tolist()) == [0, 0, 1, 1, 1]
    network = scripts("study.one_run").trained_network(explained, chosen.run, of_run).network
    seen = scripts("standardised_input").StandardisedInput(network)
    place = result["methods"].tolist().index("exact_shapley")
    bags = module.chosen_bags(of_run.test.labels.numpy(), 3, 2)
    for row, bag in enumerate(bags):
        whole = of_run.test.of([int(bag)])
        features = seen.standardised(whole.instances)
        values = {"exact_shapley": ExactShapley(seen).attribute(features)}
        quality = bag_quality(seen, features, values, whole.truth.numpy(), seed=int(bag))
        for measure in ("aupc_drop", "aopc_r", "instance_ap"):
            np.testing.assert_allclose(result[f"value {measure}"][row, place], quality.values[measure][0], rtol=1e-6)
        np.testing.assert_allclose(result["drop"][row, place], quality.drop[0], rtol=1e-6)
    # macro- and micrometastases count as lesions, and the least map finds something at eight false positives
    assert np.isfinite(result["froc"]).all()
    kinds = scripts("study.phantom_slides").read_phantom_slides(folder, 0.1).kinds
    shown = [str(kinds[of_run.test_index[bag]]) for bag in bags]
    facts = kept.facts(chosen)
    assert (facts["froc_lesions"], facts["froc_slides"]) == (sum(kind in ("macro", "micro") for kind in shown), 5)

    numbers = pd.read_csv(output / "quality.csv")
    counts = numbers.query("set == 'slides' and measure in ('froc_lesions', 'froc_slides')").sort_values(
        ["measure", "run"]
    )
    lesions, shown_slides = counts["value"].to_numpy().astype(int).reshape(2, 2).tolist()
    assert (lesions[1], shown_slides) == (facts["froc_lesions"], [5, 5])
    text = (output / "table.md").read_text()
    parts = f"({lesions[0]} + {lesions[1]} in the runs)"
    assert f"of {sum(lesions)} lesions that are no isolated tumour cells {parts} on 10 slides" in text
    assert "of lesions" not in text.split("negative bags")[1].split("##")[0]
    table = pd.read_csv(output / "table.csv")
    row = estimate(table, "AP ↑", section="phantom slides: positive bags", method="Shapley values, exact")
    runs = numbers.query("set == 'slides' and method == 'exact_shapley' and measure == 'instance_ap'")["value"]
    assert len(runs) == 2
    assert row["value"] == pytest.approx(runs.mean())
    assert row["repeat_sd"] == pytest.approx(runs.std(ddof=1))
    assert np.nanmean(result["value instance_ap"][result["labels"] == 1, place]) == pytest.approx(runs.iloc[1])
    assert f"SD {runs.std(ddof=1):.3f}" in (output / "table.md").read_text()
    text = (output / "table.md").read_text()
    assert "Attention: AttentionMaximumPooling has no weight for each instance" in text
    refused = kept.facts(
        module.ExplanationRun("slides_maximum", scripts("study.grid").Run("phantoms", "attention_maximum", 0))
    )
    assert set(refused["refused"]) == {"attention", "attention_rescaled", "lrp_attention"}
    assert {path.name for path in output.glob("*.png")} == {"methods.png", "curves.png"}


def test_every_run_explains_other_bags(scripts):
    module = scripts("study.explanation_run")
    settings = scripts("study.explanation_settings").read_explanation_settings("bag-explanations")
    of_slides = [module.explanation_run("slides", settings.sets["slides"], number).run for number in range(6)]
    assert [(run.repeat, run.fold) for run in of_slides] == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0)]
    of_digits = [module.explanation_run("mnist", settings.sets["mnist"], number).run for number in range(5)]
    assert [(run.repeat, run.fold) for run in of_digits] == [(number, 0) for number in range(5)]
    labels = np.tile([0, 1], settings.sets["mnist"].settings.test_bags // 2)
    chosen = [module.chosen_bags(labels, 30, 30, run.repeat) for run in of_digits]
    assert len(set(np.concatenate(chosen).tolist())) == 5 * 60
    assert all(labels[bags].sum() == 30 for bags in chosen)
    with pytest.raises(DataError, match="run 8 has no held-out bags of either label left to explain; raise test_bags"):
        module.chosen_bags(labels, 30, 30, 7)


def test_the_study_measures_the_methods_that_explaining_has(repository):
    configs = repository / "bundles/camelyon_attmil/configs"
    of_study = read_json(configs / "study.json")["bag-explanations"]["default"]["methods"]
    own = read_json(configs / "explain.json")["explain"]["methods"]
    both = set(of_study) & set(own)
    assert {"attention", "lrp_epsilon", "lrp_detached", "lrp_attention", "instance_score"} <= both
    for name in both:
        assert of_study[name] == {key: value for key, value in own[name].items() if key not in ("model", "seed")}, name


def test_a_part_can_be_another_one_with_its_own_values(scripts):
    read = scripts("study.settings").read_settings
    for mode in ("default", "quick", "full"):
        parts = ("slides", "faint", "small", "encoder")
        slides, faint, small, encoder = (read("camelyon_attmil", mode, part=part) for part in parts)
        for other in (faint, small, encoder):
            assert (other.training, other.folds) == (slides.training, slides.folds)
        # a part of a part
        assert encoder.conditions["encoder"]["drawing"] == small.conditions["small"]["drawing"] | {"encoder_seed": 2}
        assert list(encoder.conditions) == ["encoder"]
        assert set(encoder.models) == {"attention", "attention_maximum", "attention_maximum_context"}
        assert list(faint.conditions) == ["faint"]
        drawing = faint.conditions["faint"]["drawing"]
        assert drawing["seed"] != slides.conditions["phantoms"]["drawing"]["seed"]
        parameters = scripts("phantom_parameters").PhantomParameters.from_config(drawing["parameters"])
        assert 0 < parameters.lesions.contrast < 1


def test_slides_are_drawn_anew_when_the_code_that_draws_them_changes(scripts, monkeypatch):
    module = scripts("study.phantom_slides")
    first = module.drawing_name({"seed": 3})
    assert first == module.drawing_name({"seed": 3})
    assert len({first, module.drawing_name({"seed": 4}), module.drawing_name({"seed": 3, "kinds": ["micro"]})}) == 3
    original = module.ConfigParser.load_config_file(str(module.CONFIG))
    for key, value, same in (("fractions", {"training": 1.0}, True), ("mpp", 0.25, False)):
        monkeypatch.setattr(
            module.ConfigParser, "load_config_file", lambda path, key=key, value=value: {**original, key: value}
        )
        assert (module.drawing_name({"seed": 3}) == first) == same
    monkeypatch.setattr(module.ConfigParser, "load_config_file", lambda path: original)
    monkeypatch.setattr(module, "code_sha256", lambda modules: "of other code")
    assert module.drawing_name({"seed": 3}) != first


#: used while slides are drawn and encoded, and without a say in what comes of it
KEEPS_BOOKS = {
    "camelyon16_layout", "feature_extraction", "feature_file", "slide_state", "source_slide", "tile_reader",
    "work_division",
}  # fmt: skip


def test_all_code_that_draws_and_encodes_slides_counts(scripts):
    """Whatever of the bundle and of the phantoms' parts drawing and encoding import, is hashed or keeps books."""
    known = set(scripts("study.phantom_slides").DRAWING_CODE)
    used, waiting = set(), ["scripts.phantom", "scripts.feature_extraction"]
    while waiting:
        name = waiting.pop()
        if name in used or not name.startswith(("scripts.", "shared.phantoms.")):
            continue
        used.add(name)
        tree = ast.parse(Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8"))
        waiting += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert used - known == {f"scripts.{name}" for name in KEEPS_BOOKS}
    assert known <= used


def test_settings_that_do_not_fit_are_named(scripts, run, tmp_path):
    read = scripts("study.explanation_settings").read_explanation_settings
    for mode in ("default", "quick", "full"):
        assert {"mnist", "colon", "slides"} <= set(read("bag-explanations", mode).sets)
    content = read_json(tmp_path / "study.json")
    content["bag-explanations"]["small"]["sets"]["slides"]["overlay"]["models"] = {
        "attention": {"network": "attention"}
    }
    write_json(tmp_path / "study.json", content)
    with pytest.raises(DataError, match="set 'slides': has the conditions phantoms and the models"):
        read("bag-explanations", "small")
    with pytest.raises(DataError, match="no part 'slide'; found slides, faint, small, encoder, planted"):
        scripts("study.settings").read_settings("camelyon_attmil", part="slide")
    with pytest.raises(DataError, match="without --table-only"):
        scripts("study.phantom_slides").phantom_folder(tmp_path, {"normal": 1}, 0, make=False)
