"""A process that keeps one bundle loaded and answers requests, one JSON object to a line.

``python -m shared.serving.worker --bundle DIR`` reads requests from standard input and writes replies to standard
output; everything else that libraries print goes to standard error. A request is ``{"do": …, "id": …}`` with the
arguments of that kind, its reply ``{"id": …, "ok": true, …}`` or ``{"id": …, "ok": false, "kind": …, "error": …}``,
where the kind is ``data`` (the request's files or values are at fault, the text says what to do) or ``internal``.

=========== ======================================================================== =============================
request     arguments                                                                reply
=========== ======================================================================== =============================
``check``                                                                            what the bundle is and accepts
``infer``   ``items`` (``key``, ``source``, ``attributes``), ``work_dir``            ``answers`` and ``refused``
``explain`` the same with one item, ``method``, ``target_class``                     with files of the explanation
``train``   ``items`` with ``label``, ``work_dir``, ``max_epochs``, ``seed``         what was trained and served
``score``   ``items`` with ``label``, ``work_dir``                                   metrics with intervals
``stop``                                                                             nothing more after it
=========== ======================================================================== =============================

While it trains, lines ``{"id": …, "progress": …}`` come before the reply.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from shared.data.errors import DataError
from shared.serving.items import Item
from shared.serving.judging import Explanation, judge
from shared.serving.label_training import LabelTraining, train_on_labels
from shared.serving.model_lock import model_lock
from shared.serving.progress import PROGRESS
from shared.serving.scoring import score
from shared.serving.served_bundle import ServedBundle
from shared.serving.station import check_plain

__all__ = ["Worker", "main"]

Request = Mapping[str, Any]
Reply = dict[str, Any]


class Worker:
    """Answers the requests of one bundle.

    Args:
        bundle: that is asked.
        write: takes each reply.
    """

    def __init__(self, bundle: ServedBundle, write: Callable[[Reply], None]) -> None:
        self.bundle = bundle
        self.write = write
        self.kinds: dict[str, Callable[[Request], Reply]] = {
            "check": self._check,
            "infer": self._infer,
            "explain": self._explain,
            "train": self._train,
            "score": self._score,
            "stop": lambda _: {},
        }

    def serve(self, lines: Iterable[str]) -> None:
        """Answer requests until one of them is ``stop`` or there are no more."""
        for line in lines:
            if not line.strip():
                continue
            request = self._read(line)
            if request is None:
                continue
            self.write(self._answer(request))
            # a config's objects refer to each other in circles, and hold a network
            gc.collect()
            if request["do"] == "stop":
                return

    def _read(self, line: str) -> Request | None:
        try:
            request = json.loads(line)
        except ValueError as error:
            self.write({"id": None, "ok": False, "kind": "data", "error": f"not a JSON object: {error}"})
            return None
        described = request if isinstance(request, dict) else {}
        if str(described.get("do")) not in self.kinds:
            message = f"request {described.get('do', request)!r}: expected one of {', '.join(self.kinds)}"
            self.write({"id": described.get("id"), "ok": False, "kind": "data", "error": message})
            return None
        return described

    def _answer(self, request: Request) -> Reply:
        base = {"id": request.get("id")}
        try:
            reply = {**base, "ok": True, **self.kinds[request["do"]](request)}
            json.dumps(reply, allow_nan=False)
            return reply
        except DataError as error:
            return {**base, "ok": False, "kind": "data", "error": str(error)}
        except Exception as error:  # the process goes on: the next request may be a good one
            traceback.print_exc()
            return {**base, "ok": False, "kind": "internal", "error": f"{type(error).__name__}: {error}"}

    def _check(self, _: Request) -> Reply:
        with model_lock(self.bundle.ckpt_dir, exclusive=False):
            return self.bundle.check()

    def _infer(self, request: Request) -> Reply:
        with model_lock(self.bundle.ckpt_dir, exclusive=False):
            return judge(self.bundle, _items(request), _work_dir(request))

    def _explain(self, request: Request) -> Reply:
        wanted = Explanation.of_json({key: request[key] for key in ("method", "target_class") if key in request})
        with model_lock(self.bundle.ckpt_dir, exclusive=False):
            return judge(self.bundle, _items(request), _work_dir(request), wanted)

    def _score(self, request: Request) -> Reply:
        with model_lock(self.bundle.ckpt_dir, exclusive=False):
            return score(self.bundle, _items(request), _work_dir(request))

    def _train(self, request: Request) -> Reply:
        settings = LabelTraining.of_json(
            {key: value for key, value in request.items() if key not in ("do", "id", "items", "work_dir")}
        )
        handler = _ProgressReplies(lambda text: self.write({"id": request.get("id"), "progress": text}))
        PROGRESS.addHandler(handler)
        try:
            return train_on_labels(self.bundle, _items(request), _work_dir(request), settings)
        finally:
            PROGRESS.removeHandler(handler)


class _ProgressReplies(logging.Handler):
    """Passes on what is logged as lines of progress."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self.write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.write(record.getMessage())


def _items(request: Request) -> list[Item]:
    listed = request.get("items")
    if not isinstance(listed, list):
        raise DataError(f"items is {listed!r}, expected a list")
    return [Item.of_json(content) for content in listed]


def _work_dir(request: Request) -> Path:
    place = request.get("work_dir")
    if not isinstance(place, str) or not Path(place).is_absolute():
        raise DataError(f"work_dir is {place!r}, expected the absolute path of a folder")
    check_plain("work_dir", place)
    return Path(place)


def _replies() -> TextIO:
    """Return standard output for replies alone, and give everything else that is printed to standard error."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return replies


def main(arguments: list[str] | None = None) -> int:
    """Serve a bundle until standard input ends; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m shared.serving.worker", description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--ckpt_dir", type=Path, help="folder of its weights (default: models in that of the bundle)")
    known = parser.parse_args(arguments)
    replies = _replies()

    def write(reply: Reply) -> None:
        # in ASCII: an error may tell of a file whose name is no text
        replies.write(json.dumps(reply, allow_nan=False) + "\n")
        replies.flush()

    try:
        bundle = ServedBundle.of(known.bundle, known.ckpt_dir)
    except DataError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - what the user is to read
        return 2
    Worker(bundle, write).serve(sys.stdin)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # taking torch and its modules apart takes an interpreter seconds, for which a server that ends would wait
    os._exit(code)
