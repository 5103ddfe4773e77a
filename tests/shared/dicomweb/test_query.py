"""Which studies are asked for: never the whole archive, never by a pattern."""

from __future__ import annotations

import pytest

from shared.data.errors import DataError
from shared.dicomweb.query import Query


def test_matching_keys():
    assert Query(studies=("1.2", "1.3"), patient="P1").filters() == [
        {"StudyInstanceUID": "1.2", "PatientID": "P1"},
        {"StudyInstanceUID": "1.3", "PatientID": "P1"},
    ]
    assert Query(accession="A").filters() == [{"AccessionNumber": "A"}]
    assert Query(since="2026-03-01").filters() == [{"StudyDate": "20260301-"}]
    assert Query(since="2026-03-01", until="2026-03-02").filters() == [{"StudyDate": "20260301-20260302"}]
    assert Query(patient="P", until="2026-03-02").filters() == [{"PatientID": "P", "StudyDate": "-20260302"}]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "nothing is asked for"),
        ({"until": "2026-03-02"}, "nothing is asked for"),
        ({"studies": ("1.2/../x",)}, r"study: '1\.2/\.\./x' is no UID"),
        ({"patient": "P*"}, r"patient: 'P\*' holds one of"),
        ({"accession": "A?"}, "accession: "),
        ({"since": "20.3.2026"}, r"since: '20\.3\.2026' is no day"),
        ({"since": "2026-03-02", "until": "2026-03-01"}, "since: 2026-03-02 is after until, 2026-03-01"),
    ],
)
def test_questions_that_are_refused(said, message):
    with pytest.raises(DataError, match=message):
        Query(**said)
