"""Read the full Speech Commands v0.02 folder as the twelve-class task: ten words, silence, unknown words.

The split is the official one: ``validation_list.txt`` and ``testing_list.txt`` name the clips of those parts, all others
train; the lists were made by speaker [Warden2018]_. In each part ``_unknown_`` is a choice of the other 25 words' clips and
``_silence_`` a number of cuts from the background noise, each as many as the ten words have clips on average. Choice and cuts
are fixed by hashes of names. The first 80 % of each noise recording serve training, the next 10 % validation and the
last 10 % the test, so that no noise is heard twice.

.. [Warden2018] P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv:1804.03209.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError
from codesign.network.tasks.audio import Samples, read_wav
from codesign.network.tasks.features import CLIP_SAMPLES, COEFFICIENTS, FRAMES, fit_clip, mfcc
from codesign.network.tasks.splits import Part, divide
from codesign.network.tasks.task import Progress, Task, TaskRecord
from codesign.network.tasks.words import standardisation, to_words

SILENCE, UNKNOWN = "_silence_", "_unknown_"
NOISE_FOLDER = "_background_noise_"
LISTS = {Part.VALIDATION: "validation_list.txt", Part.TEST: "testing_list.txt"}
OTHER_WORDS = (
    "backward", "bed", "bird", "cat", "dog", "eight", "five", "follow", "forward", "four", "happy", "house", "learn",
    "marvin", "nine", "one", "seven", "sheila", "six", "three", "tree", "two", "visual", "wow", "zero",
)  # fmt: skip
NOISE_SHARES = {Part.TRAIN: (0.0, 0.8), Part.VALIDATION: (0.8, 0.9), Part.TEST: (0.9, 1.0)}

_CLIPS_AT_ONCE = 256
_REMEDY = "Give the folder into which speech_commands_v0.02.tar.gz was unpacked"


@dataclass(frozen=True)
class _Source:
    """One sample to be: a clip's file, or ``start`` of a cut from a noise recording."""

    path: Path
    label: int
    part: Part
    start: int | None = None


def load_folder(record: TaskRecord, folder: Path, progress: Progress | None = None) -> Task:
    """The twelve-class task from the full data set; features are standardised on its own training part.

    Raises:
        InputError: ``folder`` does not exist, is not Speech Commands v0.02, or holds a file that cannot be read.
    """
    _check_folder(folder, record)
    words = tuple(name for name in record.classes if name not in (SILENCE, UNKNOWN))
    clips = _clips_by_part(folder, (*words, *OTHER_WORDS))
    noise = {path: read_wav(path) for path in sorted((folder / NOISE_FOLDER).glob("*.wav"))}
    sources = [source for part in Part for source in _sources(folder, record, words, clips[part], part, noise)]
    features = _features(sources, noise, progress)
    parts = np.array([source.part for source in sources])
    scale = standardisation(features[parts == Part.TRAIN])
    labels = np.array([source.label for source in sources])
    return Task.from_splits(record, divide(to_words(features, scale), labels, parts), scale)


def _check_folder(folder: Path, record: TaskRecord) -> None:
    if not folder.is_dir():
        raise InputError("no such folder", where=str(folder), remedy=_REMEDY)
    words = [name for name in record.classes if name not in (SILENCE, UNKNOWN)]
    wanted = [*words, *OTHER_WORDS, NOISE_FOLDER]
    missing = [name for name in wanted if not (folder / name).is_dir()] + [name for name in LISTS.values() if not (folder / name).is_file()]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InputError(f"not Speech Commands v0.02: {', '.join(missing[:5])}{more} not found in it", where=str(folder), remedy=_REMEDY)


def _clips_by_part(folder: Path, words: tuple[str, ...]) -> dict[Part, dict[str, list[str]]]:
    """Names of clips by part and word, sorted; both lists must name files that exist."""
    part_of: dict[str, Part] = {}
    for part, name in LISTS.items():
        for clip in _read_list(folder / name):
            if part_of.setdefault(clip, part) != part:
                raise InputError(f"{clip!r} is in both lists", where=str(folder / name), remedy="Unpack the archive again")
    clips: dict[Part, dict[str, list[str]]] = {part: {word: [] for word in words} for part in Part}
    for word in words:
        for path in sorted((folder / word).glob("*.wav")):
            clips[part_of.pop(f"{word}/{path.name}", Part.TRAIN)][word].append(path.name)
    if part_of:
        clip, part = next(iter(part_of.items()))
        raise InputError(f"names {clip!r}, which does not exist", where=str(folder / LISTS[part]), remedy="Unpack the archive again")
    return clips


def _read_list(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path), remedy="Unpack the archive again") from None


def _sources(
    folder: Path, record: TaskRecord, words: tuple[str, ...], clips: dict[str, list[str]], part: Part, noise: dict[Path, Samples]
) -> Iterator[_Source]:
    """Samples of one part, class by class."""
    typical = round(sum(len(clips[word]) for word in words) / len(words))
    for label, name in enumerate(record.classes):
        if name == SILENCE:
            for path, start in _cuts(noise, part, typical):
                yield _Source(path, label, part, start)
        elif name == UNKNOWN:
            others = [f"{word}/{clip}" for word in OTHER_WORDS for clip in clips[word]]
            for clip in sorted(sorted(others, key=_rank)[:typical]):
                yield _Source(folder / clip, label, part)
        else:
            for clip in clips[name]:
                yield _Source(folder / name / clip, label, part)


def _rank(name: str) -> str:
    """A fixed order that has nothing to do with the names' own."""
    return hashlib.sha256(name.encode()).hexdigest()


def _cuts(noise: dict[Path, Samples], part: Part, count: int) -> Iterator[tuple[Path, int]]:
    """Where to cut ``count`` clips: recordings in turn, starts spread over the share of the part."""
    low, high = NOISE_SHARES[part]
    spans = [(path, int(low * len(samples)), int(high * len(samples)) - CLIP_SAMPLES) for path, samples in noise.items()]
    usable = [span for span in spans if span[2] >= span[1]]
    if not usable:
        where = f"{NOISE_FOLDER}, {part.name.lower()} part"
        raise InputError("no recording is long enough to cut one second of silence from", where=where, remedy=_REMEDY)
    for number in range(count):
        path, first, last = usable[number % len(usable)]
        yield path, first + int(_rank(f"{part.name} {number}"), 16) % (last - first + 1)


def _features(sources: list[_Source], noise: dict[Path, Samples], progress: Progress | None) -> NDArray[np.float64]:
    """Cepstral coefficients, n x 49 x 10, read in blocks to bound memory."""
    made = np.empty((len(sources), FRAMES, COEFFICIENTS))
    for start in range(0, len(sources), _CLIPS_AT_ONCE):
        block = sources[start : start + _CLIPS_AT_ONCE]
        made[start : start + len(block)] = mfcc(np.stack([_samples(source, noise) for source in block]))
        if progress is not None:
            progress(start + len(block), len(sources))
    return made


def _samples(source: _Source, noise: dict[Path, Samples]) -> Samples:
    if source.start is None:
        return fit_clip(read_wav(source.path))
    return noise[source.path][source.start : source.start + CLIP_SAMPLES]
