"""The records that a training keeps in its save folder: train.log, metrics.jsonl, TensorBoard."""

import contextlib
from collections.abc import Iterator

from s2st.errors import S2STError
from s2st.training.metrics_file import MetricsFile
from s2st.training.observer import Observer, Observers
from s2st.training.save_folder_lock import HeldFolder
from s2st.training.tensorboard_events import TensorBoardEvents
from s2st.training.training_log import TrainingLog


@contextlib.contextmanager
def open_records(held: HeldFolder, tensorboard: bool, shown: Observer) -> Iterator[Observer]:
    """Yield an observer that shows the progress and keeps the records.

    Args:
        held: the save folder.
        tensorboard: whether to write event files too.
        shown: shows the progress to the user.
    """
    with contextlib.ExitStack() as stack:
        log = TrainingLog(held.place, held.check)
        stack.callback(log.close)
        metrics = MetricsFile(held.place, held.check)
        stack.callback(metrics.close)
        observers: list[Observer] = [shown, log, metrics]
        if tensorboard:
            events = TensorBoardEvents(held.place)
            stack.callback(events.close)
            observers.append(events)
        try:
            yield Observers(observers)
            log.sync()
        except S2STError as error:
            with contextlib.suppress(S2STError):  # the disk may be full
                log.note(f"ended: {error}")
            raise
