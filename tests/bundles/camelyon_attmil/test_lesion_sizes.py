"""Lesion sizes of tumour slides from their annotations, and sensitivity by size, counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from shared.calibration.output_collector import CollectedOutputs
from shared.data.errors import DataError
from shared.evaluation.proportion import wilson_interval

REAL_ANNOTATIONS = Path(__file__).resolve().parents[4] / "shared" / "data" / "camelyon16_annotations"
MPP = 0.25


@pytest.fixture(scope="module")
def annotations(scripts):
    return scripts("annotations")


@pytest.fixture(scope="module")
def module(scripts):
    return scripts("lesion_sizes")


@pytest.fixture(scope="module")
def write_lesions(annotations, tmp_path_factory):
    """Write circles of given diameters in mm, side by side, and return the annotation's path."""
    folder = tmp_path_factory.mktemp("annotations")
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)

    def write(name, *diameters_mm, group="_0"):
        outlines, x = [], 10_000.0
        for number, diameter in enumerate(diameters_mm):
            radius = 500 * diameter / MPP
            x += 2 * radius + 400
            circle = np.stack([x + radius * np.cos(angle), 9000 + radius * np.sin(angle)], axis=1)
            outlines.append(annotations.Outline(f"{name}_{number}", group, circle))
        annotations.write_asap(folder / f"{name}.xml", annotations.Annotation(tuple(outlines)))
        return str(folder / f"{name}.xml")

    return write


def test_sizes_are_those_of_the_circles(module, write_lesions):
    found = module.lesion_sizes({"id": "t", "annotation": write_lesions("two", 0.1, 2.5), "mpp": MPP})
    assert (found.kind, found.lesions, found.partial, found.reason) == ("macro", 2, False, None)
    assert found.largest_mm == pytest.approx(2.5, rel=1e-4)
    assert found.area_mm2 == pytest.approx(np.pi / 4 * (0.1**2 + 2.5**2), rel=1e-3)
    some = module.lesion_sizes({"annotation": write_lesions("one", 0.5), "mpp": MPP, "partly_annotated": True})
    assert (some.kind, some.partial) == ("micro", True)


def test_a_long_thin_lesion_is_the_largest_though_another_has_more_area(module, annotations, tmp_path):
    thin = np.array([[0, 0], [10_000, 0], [10_000, 40], [0, 40]], dtype=float)  # 2.5 mm by 10 µm
    block = np.array([[0, 5000], [2000, 5000], [2000, 7000], [0, 7000]], dtype=float)  # 0.5 mm by 0.5 mm
    outlines = tuple(annotations.Outline("name", "_0", vertices) for vertices in (block, thin))
    annotations.write_asap(tmp_path / "a.xml", annotations.Annotation(outlines))
    found = module.lesion_sizes({"annotation": tmp_path / "a.xml", "mpp": MPP})
    assert (found.kind, found.largest_mm) == ("macro", pytest.approx(2.5, rel=1e-4))


def test_the_scale_comes_from_the_record_then_the_features_then_the_slide(module, write_exact, tmp_path):
    features = tmp_path / "s.h5"
    with h5py.File(features, "w") as file:
        file.attrs["slide_mpp"] = 0.4
    slide = str(write_exact(tmp_path / "s.tif", np.full((64, 64, 3), 200, np.uint8), mpp=0.5))
    record = {"id": "s", "mpp": 0.3, "features": str(features), "slide": slide}
    assert module.slide_scale(record) == 0.3
    assert module.slide_scale({**record, "mpp": None}) == 0.4
    assert module.slide_scale({"id": "s", "slide": slide}) == pytest.approx(0.5)
    with pytest.raises(DataError, match="slide 's': its scale is not known"):
        module.slide_scale({"id": "s"})


def test_what_cannot_be_measured_says_why(module, write_lesions, annotations, tmp_path):
    assert module.lesion_sizes({"kind": "Micro"}) == module.LesionSizes("micro", reason="no annotation")
    assert module.lesion_sizes({}).kind == "unknown"
    moved = module.lesion_sizes({"annotation": str(tmp_path / "gone.xml"), "mpp": MPP})
    assert "gone.xml: no such annotation" in moved.reason
    unscaled = module.lesion_sizes({"id": "t", "annotation": write_lesions("unscaled", 1.0)})
    assert "its scale is not known" in unscaled.reason
    square = np.array([[0, 0], [9, 0], [9, 9], [0, 9]], dtype=float)
    outlines = (annotations.Outline("a", "_0", square), annotations.Outline("b", "_2", square, tumour=False))
    annotations.write_asap(tmp_path / "none.xml", annotations.Annotation(outlines))
    assert (
        "exclusions cover all tumour" in module.lesion_sizes({"annotation": tmp_path / "none.xml", "mpp": MPP}).reason
    )


def test_sensitivity_by_size_is_counted_and_misses_are_listed_smallest_first(module, write_lesions):
    slides = [  # diameters in mm, probability, decision
        ((3.0,), 0.9, "accept"),
        ((2.2, 0.1), 0.8, "accept"),
        ((0.6,), 0.7, "defer"),
        ((0.3, 0.1), 0.1, "accept"),
        ((0.15,), 0.2, "defer"),
        (None, 0.4, "defer"),
    ]
    records = [
        {"id": f"tumor_{i}", "label": 1, "mpp": MPP}
        | ({} if sizes is None else {"annotation": write_lesions(f"by_size_{i}", *sizes)})
        for i, (sizes, _, _) in enumerate(slides)
    ]
    records.append({"id": "normal_0", "label": 0})
    probability = np.array([row[1] for row in slides] + [0.3])
    columns = {
        "probabilities": np.stack([1 - probability, probability], axis=1),
        "prediction": (probability > 0.5).astype(int),
        "decision": np.array([row[2] for row in slides] + ["accept"], dtype=object),
    }
    measured = module.LesionSensitivity(["normal", "tumour"])(CollectedOutputs(records, columns))
    json.dumps(measured)
    counts = {kind: (entry["n"], entry["found"]["count"]) for kind, entry in measured["kinds"].items()}
    assert counts == {"macro": (2, 2), "micro": (2, 1), "itc": (1, 0), "unknown": (1, 0)}
    micro = measured["kinds"]["micro"]
    assert micro["found"]["ci95"] == [float(end) for end in wilson_interval(1, 2)]
    assert micro["accepted_as_other"]["count"] == 1
    assert measured["kinds"]["itc"]["accepted_as_other"]["count"] == 0
    assert [case["id"] for case in measured["cases"]] == [f"tumor_{i}" for i in (4, 3, 2, 1, 0, 5)]
    assert [case["id"] for case in measured["cases"] if not case["found"]] == ["tumor_4", "tumor_3", "tumor_5"]
    assert measured["cases"][1] | {"largest_mm": 0, "area_mm2": 0} == {
        "id": "tumor_3",
        "probability": 0.1,
        "prediction": "normal",
        "decision": "accept",
        "found": False,
        "kind": "micro",
        "lesions": 2,
        "largest_mm": 0,
        "area_mm2": 0,
        "partial": False,
        "reason": None,
    }


@pytest.mark.skipif(not REAL_ANNOTATIONS.is_dir(), reason=f"{REAL_ANNOTATIONS} is not there")
def test_real_annotations_have_plausible_sizes(module):
    sizes = [module.lesion_sizes({"annotation": path, "mpp": 0.243}) for path in sorted(REAL_ANNOTATIONS.glob("*.xml"))]
    for found in sizes:
        assert found.kind in module.KIND_TITLES
        # no piece exceeds a slide of 25 by 75 mm, and an area is at most that of a disc of each lesion's extent
        assert 0.01 < found.largest_mm < 30
        assert 0 < found.area_mm2 <= found.lesions * np.pi / 4 * found.largest_mm**2 * 1.01
