"""Raw folders are read as the calibrated data were: ages counted to the same day, the same columns and limits."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from monai.bundle import ConfigParser

from shared.data.errors import DataError
from shared.data.prepare_settings import recorded_settings

CONFIG = Path(__file__).resolve().parents[3] / "bundles" / "lymphocytosis_moe" / "configs" / "prepare.json"


@pytest.fixture(scope="module")
def inference_records(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("inference_data").inference_records


@pytest.fixture(scope="module")
def prepare(bundle_scripts):
    """Prepare a source by the bundle's config with some values replaced; returns what the datalist records."""
    bundle_scripts("lymphocytosis_moe")("prepare")

    def run(source, output, **overrides):
        parser = ConfigParser(ConfigParser.load_config_file(str(CONFIG)))
        parser.update({"workers": 1, **overrides})
        parser.get_parsed_content("prepare")(source, output, progress=False)
        return recorded_settings(output / "datalist.json")

    return run


def calibration(folder, settings):
    file = folder / "calibration.json"
    file.write_text(json.dumps({"prepared_with": settings}))
    return file


def ages(records):
    return {record["id"]: record["age"] for record in records}


def test_ages_are_counted_to_the_day_of_the_calibrated_data(inference_records, prepare, write_source, tmp_path, caplog):
    table = write_source(tmp_path / "source", "challenge", patients=20)
    recorded = prepare(tmp_path / "source", tmp_path / "data", reference_date="1995-01-01")
    assert recorded["challenge"]["attributes"]["reference_date"] == "1995-01-01"
    file = calibration(tmp_path, recorded)
    prepared = ages(
        record for name in ("training", "validation", "test") for record in inference_records(tmp_path / "data", name)
    )
    with caplog.at_level("INFO"):
        raw = ages(inference_records(tmp_path / "source", calibration_file=file))
    assert f"tables and images are read as those that {file} was fitted to" in caplog.text
    # those not yet born on that day are left out, in preparing and here
    assert raw == prepared
    assert 0 < len(raw) < len(table)
    # the day that prepare.json names is twenty-five years later
    unrecorded = ages(inference_records(tmp_path / "source"))
    for name, age in raw.items():
        assert unrecorded[name] - age == pytest.approx(25, abs=0.02)


def test_columns_ranges_and_least_number_of_images_are_those_of_the_calibrated_data(
    inference_records, prepare, write_source, tmp_path
):
    source = tmp_path / "source"
    table = write_source(source, patients=24)
    table.rename(columns={"age_years": "years"}).to_csv(source / "clinical.csv", index=False)
    (source / "images" / "P1" / "000000.jpg").unlink()
    clinical = ConfigParser.load_config_file(str(CONFIG))["clinical"]["columns"] | {"age": "years"}
    overrides = {"clinical#columns": clinical, "attributes#ranges#age": [0, 80], "minimum_images": 6}
    recorded = prepare(source, tmp_path / "data", **overrides)
    file = calibration(tmp_path, recorded)
    found = ages(inference_records(source, calibration_file=file))
    expected = {f"P{number}" for number in range(21) if number != 1}
    assert set(found) == expected
    more = inference_records(source, calibration_file=file, prepare_overrides={"minimum_images": 5})
    assert set(ages(more)) == expected | {"P1"}, "an override replaces what is recorded"
    with pytest.raises(DataError, match="no column 'age_years'"):
        inference_records(source)


def test_settings_for_one_layout_hold_for_tables_of_the_other(inference_records, prepare, write_source, tmp_path):
    write_source(tmp_path / "source")
    recorded = prepare(tmp_path / "source", tmp_path / "data", reference_date="1995-01-01")
    write_source(tmp_path / "other", "challenge")
    found = inference_records(tmp_path / "other", calibration_file=calibration(tmp_path, recorded))
    assert ages(found)["P11"] == pytest.approx(53 - 25, abs=1)


def test_a_calibration_that_records_nothing_is_told(inference_records, write_source, tmp_path, caplog):
    write_source(tmp_path / "source")
    inference_records(tmp_path / "source", calibration_file=tmp_path / "gone.json")
    assert not caplog.records
    inference_records(tmp_path / "source", calibration_file=calibration(tmp_path, None))
    assert "does not say how its data were prepared" in caplog.text


def test_smears_need_not_be_named_alike(inference_records, prepare, write_source, tmp_path):
    write_source(tmp_path / "source")
    recorded = prepare(tmp_path / "source", tmp_path / "data", smear_pattern="^(?P<smear>0)")
    source = tmp_path / "other"
    write_source(source)
    for path in (source / "images" / "P3").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    found = inference_records(source, calibration_file=calibration(tmp_path, recorded))
    assert len(found) == pd.read_csv(source / "clinical.csv").shape[0]
