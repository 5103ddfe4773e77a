"""The table of attributes: values, units, dates, and what is wrong with a row."""

from __future__ import annotations

import datetime

import pytest

from shared.data.errors import DataError

COLUMNS = {"id": "ID", "label": "LABEL", "sex": "SEX", "age": "AGE", "lymphocyte_count": "COUNT"}


@pytest.fixture(scope="module")
def module(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("attribute_table")


@pytest.fixture
def read(module, tmp_path):
    def run(text, columns=COLUMNS, **settings):
        (tmp_path / "table.csv").write_text(text, encoding="utf-8")
        table = module.AttributeTable(("reactive", "tumoral"), **settings)
        patients, excluded = table.read(tmp_path / "table.csv", columns)
        found = {item.item if item.what == "row" else item.source: item for item in excluded}
        return {patient.identity: patient for patient in patients}, found

    return run


def test_values_and_kinds_of_labels(read):
    patients, excluded = read(
        "\ufeffID,LABEL,SEX,AGE,COUNT,MORE\n"
        "A,0,M,78,13.59,x\n B ,tumoral,female,54.5,4,\nC,1.0,,30,5e1,\nD,-1,?,61,7,\nE,,m,61,7,\n"
    )
    assert not excluded
    found = {name: (p.label, p.sex, p.age, p.lymphocyte_count) for name, p in patients.items()}
    assert found == {
        "A": (0, "M", 78.0, 13.59),
        "B": (1, "F", 54.5, 4.0),
        "C": (1, None, 30.0, 50.0),
        "D": (None, None, 61.0, 7.0),
        "E": (None, "M", 61.0, 7.0),
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("X,2,M,50,5", "LABEL is '2', expected 0 or reactive, 1 or tumoral, or '', '-1' where it is not known"),
        ("X,1,M,,5", "no AGE, which the networks need"),
        ("X,1,M,50,", "no COUNT"),
        ("X,1,M,50", "no COUNT"),
        ("X,1,M,fifty,5", "AGE is 'fifty', expected a number"),
        ("X,1,M,50,nan", "COUNT is nan, expected 0.01 to 2000 10⁹/L"),
        ("X,1,M,50,13590", "COUNT is 13590, expected 0.01 to 2000"),
        ("X,1,M,160,5", "AGE is 160, expected 0 to 120 years"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_and_the_rest_goes_on(read, row, reason):
    patients, excluded = read(f"ID,LABEL,SEX,AGE,COUNT\nA,0,M,78,13.59\n{row}\nB,1,M,78,13.59\n")
    assert list(patients) == ["A", "B"]
    assert excluded["X"].item == "patient"
    assert reason in excluded["X"].reason
    assert "table.csv" in excluded["X"].reason


def test_repeated_and_contradictory_rows_and_rows_without_a_patient(read):
    patients, excluded = read("ID,LABEL,SEX,AGE,COUNT\nA,0,M,78,5\nA,0,M,78,5\nB,0,M,70,5\nB,1,M,70,5\n,1,M,70,5\n")
    assert list(patients) == ["A"]
    assert "2 rows that contradict each other" in excluded["B"].reason
    assert excluded["line 3"].reason == "A has 2 equal rows; the first one counts"
    assert excluded["line 6"].reason == "no patient in 'ID'"
    assert excluded["line 6"].source == "table.csv"


@pytest.mark.parametrize(
    ("text", "day_first", "date"),
    [
        ("1/10/1931", True, (1931, 10, 1)),
        ("1/10/1931", False, (1931, 1, 10)),
        ("25-12-1950", True, (1950, 12, 25)),
        ("1950-12-25", True, (1950, 12, 25)),
        (" 25.12.1950 ", True, (1950, 12, 25)),
    ],
)
def test_dates(module, text, day_first, date):
    assert module.parse_date(text, day_first) == datetime.date(*date)


@pytest.mark.parametrize("text", ["25/12/50", "1950", "12/25/1950", "31/02/1950", "yesterday"])
def test_what_is_no_date(module, text):
    with pytest.raises(DataError, match="is no date"):
        module.parse_date(text)


def test_age_on_the_reference_date(read):
    columns = {**COLUMNS, "age": None, "birth_date": "DOB"}
    text = "ID,LABEL,SEX,DOB,COUNT\nA,0,M,1/1/1950,5\nB,0,M,,5\nC,0,M,1/1/2030,5\nD,0,M,13/13/1950,5\n"
    patients, excluded = read(text, columns, reference_date="2020-07-01")
    assert patients["A"].age == pytest.approx(70.5, abs=0.01)
    assert "no DOB, from which the age follows" in excluded["B"].reason
    assert "DOB is 1/1/2030, which makes -9.5 years on 2020-07-01" in excluded["C"].reason
    assert "'13/13/1950' is no date in the order day, month, year" in excluded["D"].reason


def test_a_table_that_cannot_be_read_at_all(read, module, tmp_path):
    with pytest.raises(DataError, match=r"table\.csv: no column 'COUNT' for lymphocyte_count; found ID, LABEL"):
        read("ID,LABEL,SEX,AGE\nA,0,M,5\n")
    with pytest.raises(DataError, match="or the separator if that is not ','"):
        read("ID;LABEL;SEX;AGE;COUNT\nA;0;M;5;5\n")
    assert list(read("ID;LABEL;SEX;AGE;COUNT\nA;0;M;5;5\n", separator=";")[0]) == ["A"]
    with pytest.raises(DataError, match="cannot be read as a table"):
        read("")
    (tmp_path / "latin.csv").write_bytes("ID,LABEL,SEX,AGE,COUNT\nÉ,0,M,5,5\n".encode("latin-1"))
    with pytest.raises(DataError, match="expected CSV in UTF-8"):
        module.AttributeTable(("a", "b")).read(tmp_path / "latin.csv", COLUMNS)
    with pytest.raises(DataError, match="no column named for age or birth_date"):
        read("ID,LABEL,SEX,AGE,COUNT\n", {**COLUMNS, "age": None})
    with pytest.raises(DataError, match="'soon' is no date"):
        module.AttributeTable(("a", "b"), reference_date="soon")
