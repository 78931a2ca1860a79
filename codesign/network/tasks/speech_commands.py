"""The task ``kws``: twelve classes of Speech Commands v0.02 [Warden2018]_ as 49 x 10 cepstral coefficients.

.. [Warden2018] P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv:1804.03209.
"""

from __future__ import annotations

from pathlib import Path

from codesign.network.tasks import dataset_file
from codesign.network.tasks.speech_commands_folder import load_folder
from codesign.network.tasks.splits import divide
from codesign.network.tasks.task import Progress, Standardisation, Task, TaskRecord


def load(record: TaskRecord, data: Path | None, progress: Progress | None = None) -> Task:
    """The embedded clips, or with ``data`` the folder of the full Speech Commands v0.02.

    Raises:
        InputError: the embedded file is damaged, or ``data`` is not the full data set.
    """
    return load_embedded(record) if data is None else load_folder(record, data, progress)


def load_embedded(record: TaskRecord) -> Task:
    """The 4,890 clips of the data set's twelve-class test part, divided by speaker."""
    rows = dataset_file.read(dataset_file.DATASETS / record.data_file, record.data_sha256)
    return Task.from_splits(record, divide(rows.words, rows.labels, rows.parts), Standardisation(rows.mean, rows.deviation))
