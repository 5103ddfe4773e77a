"""The card: valid by its schema whatever was measured, and what was not measured says so."""

from __future__ import annotations

import copy
import json
import shutil

import pytest
from jsonschema import Draft202012Validator, ValidationError

from shared.data.errors import DataError
from shared.data.files import sha256_file, write_json
from shared.report.build import build_report
from shared.report.card.content import card_content
from shared.report.card.write import SCHEMA_FILE, read_card, write_card
from shared.report.sources import read_sources
from tests.shared.report.edited_files import edited
from tests.shared.report.element_files import METHODS, write_rows


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture(scope="module")
def explained(four_classes, tmp_path_factory):
    bundle = tmp_path_factory.mktemp("card") / "leukocyte_qpi"
    shutil.copytree(four_classes.parent, bundle)
    return write_rows(bundle / "eval")


@pytest.fixture(scope="module")
def card(explained):
    return card_content(read_sources(explained))


def _read(card):
    """What a reader of the file gets."""
    return json.loads(json.dumps(card, allow_nan=False))


def test_a_complete_evaluation_is_valid(card, validator):
    validator.validate(_read(card))


@pytest.mark.parametrize("kept", ["metrics.json", "predictions.csv", "explanations"])
def test_each_file_alone_is_valid_and_says_what_is_missing(explained, tmp_path, validator, kept):
    source = explained / kept
    (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / kept)
    content = _read(card_content(read_sources(tmp_path)))
    validator.validate(content)
    missing = {entry["what"] for entry in content["not_measured"]}
    assert {"model.intended_use", "model.architecture", "elements.localization"} <= missing
    assert ("results" in missing) == (kept != "metrics.json")


def test_several_labels_are_valid(multi_label, validator):
    content = _read(card_content(read_sources(multi_label)))
    validator.validate(content)
    assert list(content["calibration"]["after"]) == ["Atelectasis", "Cardiomegaly", "Edema"]
    assert list(content["decisions"]) == ["Atelectasis", "Cardiomegaly", "Edema"]


def test_numbers_are_those_of_the_files(card, explained):
    metrics = json.loads((explained / "metrics.json").read_text())
    named = {entry["name"]: entry for entry in card["results"]["numbers"]}
    assert {name: entry["value"] for name, entry in named.items()} == {
        name: entry["value"] for name, entry in metrics["metrics"].items()
    }
    assert named["macro_f1"]["ci95"] == metrics["metrics"]["macro_f1"]["ci95"]
    assert card["results"]["headline"][0] == "macro_f1"
    assert sum(card["data"]["labels"]["label"].values()) == metrics["n"]
    lime = [row for row in card["elements"][0]["rows"] if row["method"] == "lime"]
    assert [(row["measure"], row["value"], row["label"], row["size"]) for row in lime] == [
        ("localisation_auc", 0.8, None, None),
        ("localisation_auc", 0.7, "monocyte", None),
        ("localisation_auc", 0.7, None, "small"),
        ("iou", 0.7, None, None),
    ]
    outliers = {entry["name"]: entry for entry in card["further"]["outliers"]}
    assert outliers["caught.empty"]["ci95"] == metrics["outliers"]["empty"]["ci95"]
    assert outliers["auroc.energy.empty"]["value"] == metrics["outliers"]["empty"]["auroc"]["energy"]
    assert card["model"]["architecture"] == {"name": "LeNet5", "parameters": 61706}


def test_purpose_and_limits_are_those_of_the_metadata(card):
    assert card["model"]["intended_use"] == "Research on label-free differential blood counts."
    assert card["model"]["limits"] == ["Not for diagnosis.", "Never measured on cells of children."]


def test_every_number_that_is_missing_has_a_reason(card):
    def walk(value, place=""):
        if isinstance(value, dict):
            if "value" in value and value["value"] is None:
                yield place, value.get("reason")
            for key, part in value.items():
                yield from walk(part, f"{place}.{key}")
        elif isinstance(value, list):
            for index, part in enumerate(value):
                yield from walk(part, f"{place}[{index}]")

    found = list(walk(_read(card)))
    assert found
    assert [place for place, reason in found if not reason] == []


def test_a_method_that_failed_says_so(card):
    failed = {method["name"]: method["failed"] for method in card["methods"]}
    assert failed["guided_backpropagation"] == METHODS["guided_backpropagation"]["failed"]
    assert failed["lime"] == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda card: card.pop("not_measured"),
        lambda card: card["model"].update(intended_use=None),
        lambda card: card["model"].update(limits=[]),
        lambda card: card["results"]["numbers"][0].update(value=None),
        lambda card: card["results"]["numbers"][0].update(ci95=None),
        lambda card: card["elements"].pop(),
        lambda card: card["elements"][0]["rows"][0].update(better="more"),
        lambda card: card["data"].update(files=[{"file": "datalist.json", "sha256": "5f"}]),
        lambda card: card.update(note="by hand"),
    ],
)
def test_the_schema_refuses_what_leaves_something_unsaid(card, validator, spoil):
    spoiled = copy.deepcopy(_read(card))
    spoil(spoiled)
    with pytest.raises(ValidationError):
        validator.validate(spoiled)


def test_what_explaining_resampled_is_in_the_card(explained, tmp_path, validator):
    content = _read(card_content(read_sources(explained)))
    assert content["elements_resampled"] == {
        "value": None,
        "reason": "interpretability.json does not say what was resampled",
    }
    drawn = {"by": "sample", "n": 40, "warning": "the samples are of 3 donors"}
    eval_dir = edited(explained, tmp_path, "eval/interpretability.json", lambda c: c.update(resampled=drawn))
    content = _read(card_content(read_sources(eval_dir)))
    validator.validate(content)
    assert content["elements_resampled"] == drawn
    page = build_report(eval_dir).read_text("utf-8")
    section = page.split('<section id="interpretability"')[1].split("</section>")[0]
    assert "not to be trusted as they stand:</strong> the samples are of 3 donors." in section
    assert "(see the warning above)" in section
    del content["elements_resampled"]
    with pytest.raises(ValidationError):
        validator.validate(content)


def test_subgroups_are_valid_and_name_what_divides_nothing(explained, tmp_path, validator):
    entry = {"value": 0.9, "ci95": [0.8, 0.95]}
    group = {"name": "F", "n": 40, "metrics": {"accuracy": entry}, "against_rest": {"accuracy": entry}}
    table = {"sex": {"groups": [group, group | {"name": "M"}]}, "age": {"reason": "no record says its age"}}
    eval_dir = edited(explained, tmp_path, "eval/metrics.json", lambda content: content.update(subgroups=table))
    content = _read(card_content(read_sources(eval_dir)))
    validator.validate(content)
    assert [part["name"] for part in content["subgroups"]["sex"]] == ["F", "M"]
    assert content["subgroups"]["sex"][0]["metrics"][0]["value"] == 0.9
    assert {"what": "subgroups.age", "reason": "no record says its age"} in content["not_measured"]


@pytest.mark.parametrize("common", [False, True])
def test_sections_of_the_data_list_are_counted(explained, tmp_path, validator, common):
    bundle = tmp_path / "leukocyte_qpi"
    shutil.copytree(explained.parent, bundle)
    donors = {"training": ["D1", "D1", "D2"], "validation": ["D3"], "test": ["D4", "D1" if common else "D5"]}
    records = {name: [{"id": f"{name}{i}", "donor": d} for i, d in enumerate(part)] for name, part in donors.items()}
    datalist = bundle / "data" / "datalist.json"
    write_json(datalist, {"classes": ["a", "b"], **records})
    metrics = json.loads((bundle / "eval" / "metrics.json").read_text())
    metrics["provenance"]["data"] = [{"file": "datalist.json", "sha256": sha256_file(datalist)}]
    write_json(bundle / "eval" / "metrics.json", metrics)
    content = _read(card_content(read_sources(bundle / "eval")))
    validator.validate(content)
    parts = content["data"]["partitions"]
    assert parts["by"] == "donor"
    assert parts["sections"]["training"] == {"n": 3, "groups": 2}
    assert parts["disjoint"] is not common
    assert {"sections": ["training", "test"], "groups": int(common)} in parts["in_common"]
    write_json(datalist, {"classes": ["a", "b"], "training": []})
    changed = card_content(read_sources(bundle / "eval"))["data"]["partitions"]
    assert "was changed since" in changed["reason"]


def test_the_card_is_written_with_the_report(explained, tmp_path, validator):
    bundle = tmp_path / "leukocyte_qpi"
    shutil.copytree(explained.parent, bundle)
    build_report(bundle / "eval")
    validator.validate(json.loads((bundle / "eval" / "card.json").read_text(encoding="utf-8")))
    for name in ("model_card.md", "checklist_tripod_ai.md", "checklist_claim.md"):
        assert (bundle / "eval" / name).read_text(encoding="utf-8").startswith("# ")


def test_a_card_is_read_again_and_anything_else_refused(card, explained, tmp_path):
    (path, *_) = write_card(read_sources(explained), tmp_path)
    assert read_card(path) == _read(card)
    write_json(tmp_path / "other.json", {"format": 1})
    with pytest.raises(DataError, match=r"other\.json: found .* expected the card"):
        read_card(tmp_path / "other.json")


def test_settings_are_those_of_the_network_that_was_evaluated(explained, tmp_path):
    bundle = tmp_path / "leukocyte_qpi"
    shutil.copytree(explained.parent, bundle)
    file = bundle / "configs" / "metadata.json"
    write_json(file, json.loads(file.read_text()) | {"network": {"width": 64, "depth": 3}})
    metrics = json.loads((bundle / "eval" / "metrics.json").read_text())
    settings = {"settings": {"width": 16, "depth": 3, "image_size": 96}, "default": {"width": 64, "image_size": 320}}
    write_json(bundle / "eval" / "metrics.json", metrics | {"model": settings})
    model = _read(card_content(read_sources(bundle / "eval")))["model"]
    assert model["settings"] == {"width": 16, "depth": 3}
    others = {entry["name"]: (entry["value"], entry["of_the_bundle"]) for entry in model["other_settings"]}
    assert others == {"width": (16, 64), "image_size": (96, 320)}
