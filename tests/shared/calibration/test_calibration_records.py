"""Samples to calibrate on: a section of their own if there is one, and what that is worth."""

from __future__ import annotations

import numpy as np
import pytest

from shared.calibration.calibration_records import SOURCE_SECTION, fitted_on, records_to_calibrate
from shared.calibration.risk_control import fit_sensitivity
from shared.data.datalist import write_datalist
from shared.data.errors import DataError

CASES, TARGET = 19, 0.9


def sections(**numbers):
    return {
        name: [{"id": f"{name}_{i}", "patient": f"{name}_{i}", "label": i % 2} for i in range(number)]
        for name, number in numbers.items()
    }


def test_a_section_of_its_own_takes_the_place_of_validation(tmp_path):
    path = tmp_path / "datalist.json"
    write_datalist(path, sections(training=4, validation=3, calibration=2, test=5), ["no", "yes"])
    records = records_to_calibrate(path)
    assert [record["id"] for record in records if record["section"] == "training"] == [
        f"training_{i}" for i in range(4)
    ]
    fitted = [record for record in records if record["section"] == "validation"]
    assert [record["id"] for record in fitted] == ["calibration_0", "calibration_1"]
    assert {record[SOURCE_SECTION] for record in fitted} == {"calibration"}
    assert not fitted_on("calibration", 2)["nominal"]


@pytest.mark.parametrize("others", [{}, {"calibration": 0}])
def test_without_one_validation_is_fitted_on_and_the_guarantee_is_nominal(tmp_path, others):
    path = tmp_path / "datalist.json"
    write_datalist(path, sections(training=4, validation=3, **others), ["no", "yes"])
    fitted = [record for record in records_to_calibrate(path) if record["section"] == "validation"]
    assert [record["id"] for record in fitted] == [f"validation_{i}" for i in range(3)]
    assert {record[SOURCE_SECTION] for record in fitted} == {"validation"}
    said = fitted_on("validation", 3)
    assert said["nominal"]
    assert "--calibration_share" in said["note"]


def test_a_patient_in_calibration_and_training_is_refused(tmp_path):
    content = sections(training=4, validation=3, calibration=2)
    content["calibration"][0]["patient"] = "training_1"
    write_datalist(tmp_path / "datalist.json", content, ["no", "yes"])
    with pytest.raises(DataError, match=r"training_1.*'training'.*'calibration'"):
        records_to_calibrate(tmp_path / "datalist.json")


def missed(rng, separate, epochs=100):
    """Miss rate of new cases, at the threshold for the wanted sensitivity by weights whose epoch was chosen.

    All epochs are equally good: in each, the probabilities of positive cases are uniform and independent, so that a
    share ``t`` of new ones lies below a threshold ``t``. That epoch is taken in which the loss is lowest.
    """
    validation = rng.random((epochs, CASES))
    chosen = validation[np.argmin(-np.log(validation).mean(axis=1))]
    fitted = rng.random(CASES) if separate else chosen
    return fit_sensitivity(fitted, np.ones(CASES), TARGET).threshold


def test_the_guarantee_holds_on_a_section_of_its_own_and_not_where_the_epoch_was_chosen():
    rng = np.random.default_rng(0)
    own, same = (np.array([missed(rng, separate) for _ in range(1500)]) for separate in (True, False))
    # the second of 19 order statistics: 2 / 20 on average
    assert own.mean() == pytest.approx(1 - TARGET, abs=4 * own.std() / 1500**0.5)
    assert same.mean() - 4 * same.std() / 1500**0.5 > 1 - TARGET
