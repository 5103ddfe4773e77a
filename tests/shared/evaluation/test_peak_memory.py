import multiprocessing
import os
import time

import numpy as np
import pytest

from shared.evaluation.peak_memory import peak_memory, tree_memory

linux = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak is read from Linux's /proc"
)
MIB = 1 << 20


def fill(kept_mib, passing_mib, held_before_mib):
    held = np.ones(held_before_mib * MIB, np.uint8)

    def computation():
        np.ones(passing_mib * MIB, np.uint8).sum()
        return np.ones(kept_mib * MIB, np.uint8).sum() + held.size

    return computation


@linux
@pytest.mark.parametrize(
    ("kept", "passing", "before", "expected"), [(64, 0, 0, 64), (32, 128, 0, 128), (16, 0, 256, 16)]
)
def test_measures_the_peak_of_the_computation_alone(kept, passing, before, expected):
    ballast = np.ones(300 * MIB, np.uint8)
    assert peak_memory(fill, kept, passing, before) == pytest.approx(expected, abs=12)
    assert ballast.all()


def hold(mib):
    held = np.ones(mib * MIB, np.uint8)
    time.sleep(0.6)
    return held.size


def fill_and_start(own_mib, mib_of_each, processes):
    """Each process shares the memory of this one, as readers do that are forked."""
    own = np.ones(own_mib * MIB, np.uint8)

    def computation():
        context = multiprocessing.get_context("fork")
        started = [context.Process(target=hold, args=(mib_of_each,)) for _ in range(processes)]
        for process in started:
            process.start()
        for process in started:
            process.join()
        return own.sum()

    return computation


@linux
def test_memory_of_all_processes_counts_and_what_they_share_counts_once():
    """300 MiB that three processes share, and 150 MiB in each of two; others on the system may share the libraries."""
    shared, own = (tree_memory(fill_and_start, *mib, 2) for mib in ((300, 0), (0, 150)))
    assert shared == pytest.approx(own, abs=120)
    assert 300 < own < 300 + 300


def fill_and_start_often(own_mib, seconds):
    """Processes that share the memory of this one, each for a moment."""
    own = np.ones(own_mib * MIB, np.uint8)

    def computation():
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (child := os.fork()) == 0:
                time.sleep(0.02)
                os._exit(0)
            os.waitpid(child, 0)
            time.sleep(0.01)
        return own.sum()

    return computation


def fill_beside_an_ended_process(mib):
    def computation():
        child = os.fork()
        if child == 0:
            os._exit(0)
        held = np.ones(mib * MIB, np.uint8)
        time.sleep(0.6)
        os.waitpid(child, 0)
        return held.sum()

    return computation


@linux
def test_a_process_that_ended_and_that_nobody_waits_for_does_not_count():
    empty, filled = (tree_memory(fill_beside_an_ended_process, mib) for mib in (0, 300))
    assert filled - empty == pytest.approx(300, abs=60)


@linux
def test_a_process_that_begins_or_ends_during_a_look_does_not_count_what_it_shares_again():
    expected = tree_memory(fill_and_start, 600, 0, 0)
    assert tree_memory(fill_and_start_often, 600, 2, interval=0) == pytest.approx(expected, rel=0.1)


@linux
def test_an_error_of_the_computation_is_raised_here():
    with pytest.raises(TypeError, match="missing 2 required positional arguments"):
        tree_memory(fill, 1)
    with pytest.raises(TypeError, match="missing 2 required positional arguments"):
        peak_memory(fill, 1)
