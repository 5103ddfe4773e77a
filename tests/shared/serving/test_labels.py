"""Labels that people give: what is none is refused, and both sections get every class that they can."""

from __future__ import annotations

import pytest

from shared.data.errors import DataError
from shared.serving.labels import label_of, split_labelled

FINDINGS = ["a", "b", "c"]


@pytest.mark.parametrize("given", ["B", "", 1, None, ["b"], {"b": 1}])
def test_a_label_of_classes_is_a_name(given):
    with pytest.raises(DataError, match=r"x: label .* expected one of a, b, c"):
        label_of(given, FINDINGS, False, "x")


@pytest.mark.parametrize("given", ["b", {}, {"d": 1}, {"b": 2}, {"b": True}, {"b": "1"}, [0, 1, 0]])
def test_labels_of_findings_are_zeros_and_ones(given):
    with pytest.raises(DataError, match=r"x: label .* expected 0 or 1 for some of a, b, c"):
        label_of(given, FINDINGS, True, "x")


def test_findings_that_are_not_named_are_unknown():
    assert label_of({"c": 1, "a": 0}, FINDINGS, True, "x") == [0, None, 1]


def test_patients_stay_together_and_classes_are_in_both_sections():
    records = [{"patient": f"p{i // 2}", "label": (i // 2) % 2, "id": i} for i in range(32)]
    sections = split_labelled(records, "patient", 0.25, seed=3)
    patients = {name: {record["patient"] for record in members} for name, members in sections.items()}
    assert not patients["training"] & patients["validation"]
    assert {name: len(members) for name, members in sections.items()} == {"training": 24, "validation": 8}
    assert all({record["label"] for record in members} == {0, 1} for members in sections.values())
    assert sections == split_labelled(records, "patient", 0.25, seed=3)


def test_a_finding_of_one_patient_or_none_does_not_prevent_a_split():
    records = [{"patient": i, "label": [i % 2, int(i == 0), None], "id": i} for i in range(16)]
    sections = split_labelled(records, "patient", 0.25, seed=0)
    assert sum(map(len, sections.values())) == 16
    assert all({record["label"][0] for record in members} == {0, 1} for members in sections.values())


def test_one_patient_of_a_class_is_too_few():
    records = [{"patient": i, "label": int(i == 0), "id": i} for i in range(8)]
    with pytest.raises(DataError):
        split_labelled(records, "patient", 0.25, seed=0)
