"""The lock of a model: many readers, or one writer."""

from __future__ import annotations

import tempfile
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


def test_whose_temporary_files_are_elsewhere_waits_too(tmp_path, monkeypatch):
    """A server has a folder of its own for them, and another server may have the same models."""
    read = threading.Event()

    def wait():
        with model_lock(tmp_path, exclusive=False):
            read.set()

    with model_lock(tmp_path, exclusive=True):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        thread = threading.Thread(target=wait)
        thread.start()
        assert not read.wait(0.2)
    assert read.wait(10)
    thread.join()


def test_who_gets_the_lock_finds_weights_that_were_left_under_another_name(tmp_path):
    """Their exchange was killed: nobody holds the lock any more."""
    left = tmp_path / ".models-older-x"
    left.mkdir()
    (left / "model.pt").write_text("weights")
    with model_lock(tmp_path / "models", exclusive=False):
        assert (tmp_path / "models" / "model.pt").read_text() == "weights"
