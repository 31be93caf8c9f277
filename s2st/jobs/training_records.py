"""The records that a training keeps in its save folder: train.log, metrics.jsonl, TensorBoard."""

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from s2st.errors import S2STError
from s2st.process.ranks import Ranks
from s2st.training.metrics_file import MetricsFile
from s2st.training.observer import Observer, Observers
from s2st.training.save_folder_lock import HeldFolder
from s2st.training.tensorboard_events import TensorBoardEvents
from s2st.training.training_log import TrainingLog

if TYPE_CHECKING:
    from s2st.training.trainer import Trainer

log = logging.getLogger("s2st")


@contextlib.contextmanager
def open_records(held: HeldFolder, tensorboard: bool, shown: Observer) -> Iterator[Observer]:
    """Yield an observer that shows the progress and keeps the records.

    Args:
        held: the save folder.
        tensorboard: whether to write event files too.
        shown: shows the progress to the user.
    """
    with contextlib.ExitStack() as stack:
        file = TrainingLog(held.place, held.check)
        stack.callback(file.close)
        metrics = MetricsFile(held.place, held.check)
        stack.callback(metrics.close)
        observers: list[Observer] = [shown, file, metrics]
        if tensorboard:
            events = TensorBoardEvents(held.place)
            stack.callback(events.close)
            observers.append(events)
        try:
            yield Observers(observers)
            file.sync()
        except S2STError as error:
            with contextlib.suppress(S2STError):  # the disk may be full
                file.note(f"ended: {error}")
            raise


def log_costs(trainer: "Trainer", updates: int, ranks: Ranks) -> None:
    """Log the time of saving and the bytes that each rank sent per update."""
    share = trainer.seconds_saving / max(1e-9, trainer.seconds)
    log.info(
        "saving took %.1f s of %.0f s (%.1f %%)",
        trainer.seconds_saving, trainer.seconds, 100 * share,
    )  # fmt: skip
    sent = trainer.gradients.bytes_exchanged // max(1, updates)
    if updates and sent:
        log.info("each of %d processes sent %s bytes per update", ranks.size, f"{sent:,}")
