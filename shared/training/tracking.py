"""``--tracking mlflow`` for trainers whose output is one batch."""

from __future__ import annotations

from monai.bundle import ConfigParser

__all__ = ["track_loss_of_batches"]

HANDLERS = "train::handlers"
LOSS = "$lambda output: output['loss']"


def track_loss_of_batches(parser: ConfigParser) -> None:
    """Let the handler that ``--tracking mlflow`` adds to a trainer take the loss from a batch.

    MONAI's settings suppose a list of samples (``from_engine(['loss'], first=True)``). Of a trainer that does not
    decollate they take a tuple of one, which MLflow refuses at the first iteration. Settings of a user's own tracking
    file stay as they are.

    Args:
        parser: of a command, parsed, whose handlers are not made yet.
    """
    if parser.get("train::trainer::decollate", True):
        return
    handlers = parser.get(HANDLERS) or []
    for number, handler in enumerate(handlers):
        if not isinstance(handler, dict) or handler.get("_target_") != "MLFlowHandler":
            continue
        said = str(handler.get("output_transform", ""))
        if "from_engine" in said and "first=True" in said:
            # the handler is MONAI's own default, which is not to be changed for others
            handlers[number] = handler | {"output_transform": LOSS}
            # setting a key of the parser would forget all that it has made so far
            item = parser.ref_resolver.get_item(f"{HANDLERS}::{number}::output_transform")
            if item is not None:
                item.update_config(LOSS)
