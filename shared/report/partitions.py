"""Whether training, validation and test have patients in common: counted in the data list that results name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from shared.data.datalist import GROUP_KEYS, SPLITS
from shared.data.files import read_json, sha256_file
from shared.report.measures import read_table
from shared.report.recorded_weights import recorded_files
from shared.report.sources import Sources

__all__ = ["Partitions", "read_partitions"]


@dataclass(frozen=True)
class Partitions:
    """The sections of a data list.

    Attributes:
        by: what belongs together: ``patient``, ``donor``.
        samples: number of samples of each section.
        groups: number of patients or donors of each section.
        common: of each two sections, how many patients or donors are in both; all 0 where they are disjoint.
    """

    by: str
    samples: Mapping[str, int]
    groups: Mapping[str, int]
    common: Mapping[tuple[str, str], int]

    @property
    def disjoint(self) -> bool:
        """Whether no patient or donor is in two sections."""
        return not any(self.common.values())


def read_partitions(sources: Sources) -> Partitions | str:
    """Count samples and groups of each section, and what sections have in common.

    Returns:
        The counts; where they cannot be had, the reason: the data list that evaluating was run on is not where it was,
        was changed since, or does not say which samples are of one patient or donor.

    Raises:
        DataError: if the data list is malformed.
    """
    recorded = recorded_files((sources.metrics or {}).get("provenance"), "data")
    if not recorded:
        return "metrics.json records no data list"
    found = _find(sources, recorded)
    if found is None:
        names = ", ".join(recorded.values())
        return f"the data list that was evaluated ({names}) is not where it was, or was changed since"
    content = read_table(read_json(found), str(found))
    sections = {name: content[name] for name in SPLITS if content.get(name)}
    records = [record for section in sections.values() for record in section]
    by = next((key for key in GROUP_KEYS if records and all(record.get(key) is not None for record in records)), None)
    if by is None:
        return f"{found.name} does not say which samples are of one {' or '.join(GROUP_KEYS)}"
    groups = {name: {str(record[by]) for record in section} for name, section in sections.items()}
    return Partitions(
        by=by,
        samples={name: len(section) for name, section in sections.items()},
        groups={name: len(found_groups) for name, found_groups in groups.items()},
        common={(one, other): len(groups[one] & groups[other]) for one, other in combinations(groups, 2)},
    )


def _find(sources: Sources, recorded: Mapping[str, str]) -> Path | None:
    """Return the data list with a recorded hash: as named, or where ``prepare`` puts it."""
    homes = [sources.eval_dir.absolute().parent, *([sources.bundle_root] if sources.bundle_root else [])]
    for digest, file in recorded.items():
        for place in (Path(file), *(home / "data" / Path(file).name for home in homes)):
            if place.is_file() and sha256_file(place) == digest:
                return place
    return None
