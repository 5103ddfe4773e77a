"""An error about data ends a run with one sentence, every other error with its traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from shared.data.errors import DataError
from shared.training.start import TRACEBACK, start_run

CODE = """
from shared.data.errors import DataError
from shared.training.start import start_run
start_run(seed=7)
try:
    raise DataError("datalist.json: no section 'test'")
except DataError as error:
    raise RuntimeError("Failed to evaluate ConfigExpression") from error
"""
SENTENCE = "Error: datalist.json: no section 'test'"


@pytest.fixture
def say(monkeypatch, capsys):
    """What a run that was started prints of an error that nobody catches."""
    monkeypatch.delenv(TRACEBACK, raising=False)
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    start_run(seed=7)

    def said(fail):
        try:
            fail()
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
        return capsys.readouterr().err

    return said


def wrapped():
    """As MONAI wraps what a config's object says, twice where one is built for another."""
    try:
        try:
            raise DataError("datalist.json: no section 'test'")
        except DataError as error:
            raise RuntimeError("Failed to evaluate ConfigExpression") from error
    except RuntimeError as error:
        raise RuntimeError("Failed to instantiate component") from error


def plain():
    raise DataError("datalist.json: no section 'test'")


def while_handled():
    try:
        plain()
    except DataError:
        {}["no such key"]


def test_a_process_ends_with_the_sentence_alone(monkeypatch):
    monkeypatch.delenv(TRACEBACK, raising=False)
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == SENTENCE


@pytest.mark.parametrize("fail", [plain, wrapped])
def test_a_data_error_is_all_that_is_printed_however_it_is_wrapped(say, fail):
    assert say(fail).strip() == SENTENCE


@pytest.mark.parametrize(("value", "whole"), [("1", True), ("0", False), ("", False)])
def test_the_traceback_is_printed_before_it_where_it_is_asked_for(say, monkeypatch, value, whole):
    monkeypatch.setenv(TRACEBACK, value)
    said = say(wrapped)
    assert said.splitlines()[-1] == SENTENCE
    assert ("RuntimeError: Failed to instantiate component" in said) == whole
    assert ("Traceback (most recent call last)" in said) == whole


def test_other_errors_keep_their_traceback(say):
    said = say(lambda: {}["no such key"])
    assert said.startswith("Traceback")
    assert said.splitlines()[-1] == "KeyError: 'no such key'"


def test_an_error_that_comes_up_while_one_about_data_is_handled_keeps_its_traceback(say):
    said = say(while_handled)
    assert said.startswith("Traceback")
    assert "KeyError: 'no such key'" in said
    assert said.splitlines()[-1] == SENTENCE


def test_a_run_is_seeded():
    drawn = []
    for _ in range(2):
        start_run(seed=7)
        drawn.append(torch.rand(1).item())
    assert drawn[0] == drawn[1]
