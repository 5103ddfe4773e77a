"""The MONAI Label app that serves the bundles of this repository; started by ``scripts/serve.sh``."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lib.bundle_worker import BundleWorker
from lib.errors import RequestError, StartError, WorkerError
from lib.folder_datastore import FolderDatastore
from lib.infers.batch_judging import BatchJudging
from lib.infers.bundle_infer import BundleInfer
from lib.labelled import datastore_input
from lib.parameters import InferParameters
from lib.scoring.label_agreement import LabelAgreement
from lib.served_models import find_models
from lib.settings import REPOSITORY, AppSettings
from lib.strategies.next_image import STRATEGIES, NextImage, RandomImage
from lib.trainers.label_train import LabelTrain
from monailabel.config import settings as label_settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

logger = logging.getLogger(__name__)


class BundleApp(MONAILabelApp):
    """Serves bundles, each by a worker process of its own.

    MONAI Label also makes an app in every process that it starts for training, scoring or judging many images: workers
    start when they are first asked, in the server at its start.

    Args:
        app_dir: this folder.
        studies: folder of the datastore.
        conf: see :meth:`lib.settings.AppSettings.of_conf`.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.settings = AppSettings.of_conf(conf or {})
        self.models = find_models(self.settings.bundles, self.settings.models)
        self._kept = Path(tempfile.mkdtemp(prefix="label-kept-"))
        atexit.register(shutil.rmtree, self._kept, ignore_errors=True)
        super().__init__(
            app_dir,
            studies,
            conf or {},
            name="monai-explainable-bundles",
            description="Calibrated classification with explanations",
            version="1.0",
        )
        # scoring judges every labelled image anew: when it is asked for, not after each request
        self._auto_update_scoring = False

    def init_datastore(self) -> Datastore:
        """Open the folder of images, of the kinds that the served models read."""
        if self.studies.startswith(("http://", "https://")):
            return super().init_datastore()
        suffixes = sorted({suffix for model in self.models.values() for suffix in model.upload_suffixes})
        return FolderDatastore(
            self.studies,
            extensions=[f"*{form}" for suffix in suffixes for form in (suffix, suffix.upper())],
            auto_reload=label_settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=label_settings.MONAI_LABEL_DATASTORE_READ_ONLY,
        )

    def init_infers(self) -> dict[str, InferTask]:
        """Return a task for each model; no worker starts yet."""
        python, timeout = self.settings.python, self.settings.timeout
        self._tasks = {
            name: BundleInfer(
                model, BundleWorker(model.folder, python, REPOSITORY, timeout), self.settings.archive, self._kept
            )
            for name, model in self.models.items()
        }
        atexit.register(self.close)
        return dict(self._tasks)

    def init_trainers(self) -> dict[str, TrainTask]:
        """Return a training for each model."""
        return {name: LabelTrain(task, self.settings.archive) for name, task in self._tasks.items()}

    def init_strategies(self) -> dict[str, Strategy]:
        """Return the ways to choose the next image."""
        judged: dict[str, Any] = {}
        return {"random": RandomImage(self._tasks)} | {
            name: NextImage(name, self._tasks, judged) for name in STRATEGIES
        }

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """Return the measure of labels against predictions."""
        return {"agreement": LabelAgreement(self._tasks, self.settings.archive)}

    def init_batch_infer(self) -> Callable[..., Any]:
        """Return what judges many images."""
        return BatchJudging(self._tasks)

    def start(self) -> None:
        """Start all workers, and make sure that each has a model that it can use.

        Raises:
            StartError: naming the models that cannot be served.
        """

        def check(task: BundleInfer) -> str | None:
            try:
                task.check()
            except (RequestError, WorkerError) as error:
                return f"{task.model.name}: {error}"
            return None

        with ThreadPoolExecutor(len(self._tasks)) as pool:
            faults = [fault for fault in pool.map(check, self._tasks.values()) if fault is not None]
        if faults:
            self.close()
            raise StartError("; ".join(faults))
        logger.info(f"Served: {', '.join(self._tasks)}")

    def close(self) -> None:
        """End all workers."""
        for task in self._tasks.values():
            task.worker.close()

    def infer_task(self, model: str) -> BundleInfer:
        """Return the task of a model.

        Raises:
            RequestError: 404 if there is none of that name.
        """
        if model not in self._tasks:
            raise RequestError(f"model {model[:100]!r}: expected one of {', '.join(self._tasks)}", 404)
        return self._tasks[model]

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Answer for an image of the datastore. MONAI Label's own would read any file that a request names.

        Args:
            request: ``model`` and ``image``.
            datastore: that has the image; None for the app's own.

        Raises:
            RequestError: if the request cannot be answered.
        """
        given = datastore_input(datastore or self.datastore(), str(request.get("image")))
        _, said = self.infer_task(str(request.get("model")))({"input": given, "parameters": InferParameters()})
        return {"label": None, "tag": DefaultLabelTag.ORIGINAL.value, "file": None, "params": said}

    def infer_wsi(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Answer for a slide as a whole, not tile by tile."""
        return self.infer(request, datastore)
