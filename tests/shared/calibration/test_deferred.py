import pytest

from shared.calibration.deferred import Deferred
from shared.data.errors import DataError


def test_it_is_loaded_at_first_use_and_once():
    calls = []

    def load():
        calls.append("loaded")
        return lambda given: 2 * given

    deferred = Deferred(load)
    assert not calls
    assert deferred(3) == 6
    assert deferred.classifier(4) == 8
    assert calls == ["loaded"]


def test_a_file_that_is_missing_at_first_may_be_there_later(tmp_path):
    def load():
        if not (tmp_path / "calibration.json").exists():
            raise DataError("no such file")
        return abs

    deferred = Deferred(load)
    with pytest.raises(DataError, match="no such file"):
        deferred(-1)
    (tmp_path / "calibration.json").touch()
    assert deferred(-1) == 1
