"""The table of a data set: who the patients are, their diagnosis, age, sex and lymphocyte count.

Every value is read as text and judged here, so that a reason can quote what the file says.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from shared.data.errors import DataError
from shared.data.integrity import Exclusion
from shared.data.text_table import read_text_table

__all__ = ["AttributeTable", "Attributes", "age_in_years", "parse_date"]

SEXES = {"m": "M", "male": "M", "f": "F", "female": "F"}
RANGES = {"age": (0.0, 120.0), "lymphocyte_count": (0.01, 2000.0)}


@dataclass(frozen=True)
class Attributes:
    """What the table says of one patient.

    Args:
        identity: the patient's name in the table.
        label: index of the class; None if the diagnosis is not known.
        age: in years.
        lymphocyte_count: in 10⁹/L.
        sex: ``M`` or ``F``; None if the table does not say.
    """

    identity: str
    label: int | None
    age: float
    lymphocyte_count: float
    sex: str | None = None


@dataclass(frozen=True)
class AttributeTable:
    """Reads the table of attributes.

    Args:
        classes: names of the classes in the order of the labels; a label may be a name or an index.
        reference_date: day on which a patient is as old as their birth date says, ``YYYY-MM-DD``. Used where the
            table gives birth dates.
        day_first: whether ``1/10/1931`` is the first of October, and not the tenth of January.
        unlabelled: what stands for an unknown diagnosis.
        ranges: lowest and highest value of ``age`` (years) and ``lymphocyte_count`` (10⁹/L) that is believed.
        separator: between the columns.

    Raises:
        DataError: if the reference date is no date.
    """

    classes: Sequence[str]
    reference_date: str = "2020-01-01"
    day_first: bool = True
    unlabelled: Sequence[str] = ("", "-1")
    ranges: Mapping[str, Sequence[float]] = field(default_factory=lambda: dict(RANGES))
    separator: str = ","

    def __post_init__(self) -> None:
        parse_date(self.reference_date)

    def read(self, path: Path, columns: Mapping[str, str | None]) -> tuple[list[Attributes], list[Exclusion]]:
        """Read all patients of a table.

        Args:
            path: a CSV file with one row per patient.
            columns: name of the column of each of ``id``, ``lymphocyte_count`` and either ``age`` or ``birth_date``;
                those of ``label`` and ``sex`` may be left out or None.

        Returns:
            The patients in the order of the table, and those left out with the reason. A patient with several rows
            that contradict each other is left out; further rows that say the same are named and ignored.

        Raises:
            DataError: if the file cannot be read, lacks a column, or no column is named for what is needed.
        """
        rows = self._rows(path, columns)
        patients: dict[str, Attributes] = {}
        excluded: list[Exclusion] = []
        for identity, group in rows.groupby("id", sort=False):
            if not identity:
                lines = ", ".join(str(line + 2) for line in group.index)
                reason = f"no patient in '{columns['id']}'"
                excluded.append(Exclusion(path.name, f"line {lines}", reason, "row"))
                continue
            distinct = group.drop_duplicates()
            if len(distinct) > 1:
                reason = f"{path.name} has {len(distinct)} rows that contradict each other; keep the right one"
                excluded.append(Exclusion(identity, "patient", reason))
                continue
            if len(group) > 1:
                reason = f"{identity} has {len(group)} equal rows; the first one counts"
                lines = ", ".join(str(line + 2) for line in group.index[1:])
                excluded.append(Exclusion(path.name, f"line {lines}", reason, "row"))
            try:
                patients[identity] = self._patient(distinct.iloc[0], columns)
            except DataError as error:
                excluded.append(Exclusion(identity, "patient", f"{path.name}: {error}"))
        return list(patients.values()), excluded

    def _rows(self, path: Path, columns: Mapping[str, str | None]) -> pd.DataFrame:
        """Return the table as text, its columns named by role."""
        table = read_text_table(path, self.separator)
        wanted = {role: name for role, name in columns.items() if name is not None}
        for roles in (("id",), ("lymphocyte_count",), ("age", "birth_date")):
            if not set(roles) & set(wanted):
                raise DataError(f"{path}: no column named for {' or '.join(roles)}; set it under 'columns'")
        for role, name in wanted.items():
            if name not in table.columns:
                raise DataError(
                    f"{path}: no column '{name}' for {role}; found {', '.join(table.columns)}; set the column's name, "
                    f"or the separator if that is not '{self.separator}'"
                )
        return pd.DataFrame({role: table[name] for role, name in wanted.items()})

    def _patient(self, row: pd.Series, columns: Mapping[str, str | None]) -> Attributes:
        age = self._number("age", row["age"], columns) if "age" in row else self._age(row["birth_date"], columns)
        return Attributes(
            row["id"],
            self._label(row["label"], columns) if "label" in row else None,
            age,
            self._number("lymphocyte_count", row["lymphocyte_count"], columns),
            SEXES.get(row["sex"].lower()) if "sex" in row else None,
        )

    def _label(self, text: str, columns: Mapping[str, str | None]) -> int | None:
        if text in self.unlabelled:
            return None
        if text in self.classes:
            return list(self.classes).index(text)
        index = text.removesuffix(".0")  # integers beside a missing value are often written so
        if index.isdecimal() and int(index) < len(self.classes):
            return int(index)
        known = ", ".join(f"{number} or {name}" for number, name in enumerate(self.classes))
        unknown = ", ".join(f"'{value}'" for value in self.unlabelled)
        raise DataError(f"{columns['label']} is '{text}', expected {known}, or {unknown} where it is not known")

    def _number(self, role: str, text: str, columns: Mapping[str, str | None]) -> float:
        if not text:
            raise DataError(f"no {columns[role]}, which the networks need")
        try:
            value = float(text)
        except ValueError:
            raise DataError(f"{columns[role]} is '{text}', expected a number with a decimal point") from None
        self._check_range(role, value, f"{columns[role]} is {text}")
        return value

    def _age(self, text: str, columns: Mapping[str, str | None]) -> float:
        if not text:
            raise DataError(f"no {columns['birth_date']}, from which the age follows")
        age = age_in_years(parse_date(text, self.day_first), parse_date(self.reference_date))
        found = f"{columns['birth_date']} is {text}, which makes {age:g} years on {self.reference_date}"
        self._check_range("age", age, found)
        return age

    def _check_range(self, role: str, value: float, found: str) -> None:
        low, high = self.ranges[role]
        if not low <= value <= high:
            unit = {"age": "years", "lymphocyte_count": "10⁹/L"}[role]
            raise DataError(f"{found}, expected {low:g} to {high:g} {unit}; correct it or the key 'ranges'")


def parse_date(text: str, day_first: bool = True) -> datetime.date:
    """Read ``YYYY-MM-DD`` or a date with the year last; ``/``, ``-`` or ``.`` between the parts.

    Args:
        text: the date.
        day_first: which of the parts is the day where the year is last.

    Raises:
        DataError: if it is no date of this form.

    Example:
        >>> parse_date("1/10/1931"), parse_date("1931-10-01")
        (datetime.date(1931, 10, 1), datetime.date(1931, 10, 1))
    """
    year_last = re.fullmatch(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})", text.strip())
    year_first = re.fullmatch(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", text.strip())
    try:
        if year_first:
            return datetime.date(*map(int, year_first.groups()))
        if year_last:
            first, second, year = map(int, year_last.groups())
            return datetime.date(year, second, first) if day_first else datetime.date(year, first, second)
    except ValueError as error:
        order = "day, month, year" if year_last and day_first else "month, day, year" if year_last else "ISO"
        raise DataError(f"'{text}' is no date in the order {order} ({error}); see the key 'day_first'") from error
    raise DataError(f"'{text}' is no date, expected YYYY-MM-DD or {'DD/MM' if day_first else 'MM/DD'}/YYYY")


def age_in_years(birth: datetime.date, day: datetime.date) -> float:
    """Return the years from a birth to a day, to two decimals.

    Example:
        >>> age_in_years(datetime.date(1950, 7, 1), datetime.date(2020, 1, 1))
        69.5
    """
    return round((day - birth).days / 365.25, 2)
