"""What an archive says of instances: reasons by the standard's numbers."""

from __future__ import annotations

import pytest

from shared.dicomweb.failures import told_reason, told_status


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0x0110, "failure in processing (0110H)"),
        (0xA7FF, "out of resources (A7FFH)"),
        (0xA900, "does not match its kind (SOP class) (A900H)"),
        (0xC000, "not understood (C000H)"),
        (0x0000, "unknown reason (0000H)"),
    ],
)
def test_reasons(code, words):
    assert told_reason(code) == words


def test_statuses():
    assert told_status(502) == "HTTP 502: the server failed; see its log"
    assert told_status(418) == "HTTP 418: the request was not accepted"
