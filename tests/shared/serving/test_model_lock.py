"""The lock of a model: many readers, or one writer."""

from __future__ import annotations

import threading

from shared.serving.model_lock import model_lock


def test_readers_share_and_a_writer_waits(tmp_path):
    written = threading.Event()

    def write():
        with model_lock(tmp_path, exclusive=True):
            written.set()

    with model_lock(tmp_path, exclusive=False), model_lock(tmp_path, exclusive=False):
        thread = threading.Thread(target=write)
        thread.start()
        assert not written.wait(0.2)
    assert written.wait(10)
    thread.join()


def test_two_models_do_not_wait_for_each_other(tmp_path):
    with model_lock(tmp_path / "a", exclusive=True), model_lock(tmp_path / "b", exclusive=True):
        pass
