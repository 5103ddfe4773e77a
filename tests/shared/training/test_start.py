"""The message for the user stands last."""

from __future__ import annotations

import subprocess
import sys

CODE = """
from shared.data.errors import DataError
from shared.training.start import start_run
import torch
start_run(seed=7)
print(torch.rand(1).item())
try:
    raise DataError("datalist.json: no section 'test'")
except DataError as error:
    raise RuntimeError("Failed to evaluate ConfigExpression") from error
"""


def test_data_error_is_the_last_line():
    runs = [subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True) for _ in range(2)]
    assert runs[0].returncode == 1
    assert runs[0].stderr.splitlines()[-1] == "Error: datalist.json: no section 'test'"
    assert "RuntimeError: Failed to evaluate" in runs[0].stderr
    assert runs[0].stdout == runs[1].stdout
