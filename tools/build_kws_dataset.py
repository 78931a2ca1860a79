"""Make the embedded data set of the task kws from audio.

    python tools/build_kws_dataset.py SOURCE OUTPUT.npz

SOURCE is the twelve-class test part of Speech Commands v0.02 (download.tensorflow.org/data/speech_commands_test_set_v0.02.tar.gz),
as a tar archive or as a folder: one folder per class with WAV or FLAC clips (FLAC needs soundfile: pip install 'codesign[dev]').
The SHA-256 that it prints belongs into codesign/data/tasks/kws.toml.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from codesign.errors import CodesignError, InputError
from codesign.network.tasks import dataset_file
from codesign.network.tasks.audio import read_clip
from codesign.network.tasks.dataset_file import Dataset
from codesign.network.tasks.features import fit_clip, mfcc
from codesign.network.tasks.registry import task_record
from codesign.network.tasks.splits import Part, part_of
from codesign.network.tasks.words import standardisation, to_words

VALIDATION_FROM, TEST_FROM = 68, 80
"""Buckets of speakers: 0 to 67 train, 68 to 79 validate, 80 to 99 test."""

LARGEST_CLIP_BYTES = 1_000_000
LARGEST_ARCHIVE_FILES = 20_000
CLIP_SUFFIXES = (".wav", ".flac")

_SPEAKER = re.compile(r"(?:^|_)([0-9a-f]{8})_nohash_\d+\.")


def speaker_of(clip: str) -> str:
    """Who speaks in a clip, from its name (``yes/0a2b400e_nohash_0.flac``): eight hexadecimal digits before ``_nohash_``.

    Clips of silence are numbered pieces of background noise without a speaker: each is an origin of its own, its number.
    """
    found = _SPEAKER.search(PurePosixPath(clip).name)
    return found[1] if found else PurePosixPath(clip_key(clip)).name


def clip_key(clip: str) -> str:
    """The clip's name without its audio suffixes, so that WAV and FLAC copies are one clip."""
    return re.sub(r"(\.wav|\.flac)+$", "", clip)


def unpack(archive: Path, target: Path) -> None:
    """Write the clips of a tar archive under ``target`` as ``class/name``; everything else in it is left alone.

    Raises:
        InputError: the archive is unreadable, or a clip is too large, outside the archive's root or no regular file.
    """
    try:
        with tarfile.open(archive) as content:
            for number, member in enumerate(content):
                if member.name.endswith(CLIP_SUFFIXES):
                    _unpack_one(content, member, target, archive)
                if number >= LARGEST_ARCHIVE_FILES:
                    raise InputError(f"more than {LARGEST_ARCHIVE_FILES:,} entries", where=str(archive), remedy="Give the twelve-class test part alone")
    except (OSError, EOFError, tarfile.TarError) as error:
        raise InputError(f"not a readable tar archive: {error}", where=str(archive), remedy="Download it again") from None


def _unpack_one(content: tarfile.TarFile, member: tarfile.TarInfo, target: Path, archive: Path) -> None:
    parts = PurePosixPath(member.name).parts
    source = content.extractfile(member) if member.isreg() and member.size <= LARGEST_CLIP_BYTES else None
    if source is None or ".." in parts or len(parts) < 2 or parts[0] == "/":
        raise InputError(f"refused the entry {member.name!r}", where=str(archive), remedy="Clips must be small regular files in one folder per class")
    path = target / parts[-2] / parts[-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source.read())


def list_clips(folder: Path, classes: Sequence[str]) -> list[str]:
    """Clips below ``folder`` as ``class/name``, sorted by name without suffix.

    Raises:
        InputError: a class has no clips.
    """
    clips = sorted((f"{name}/{path.name}" for name in classes for path in (folder / name).glob("*") if path.suffix in CLIP_SUFFIXES), key=clip_key)
    missing = [name for name in classes if not any(clip.startswith(f"{name}/") for clip in clips)]
    if missing:
        raise InputError(f"no clips for {', '.join(missing)}", where=str(folder), remedy="Give the folder that holds one folder per class")
    return clips


def clip_features(folder: Path, clips: Sequence[str]) -> np.ndarray:
    """Cepstral coefficients, n x 49 x 10, of clips named as `list_clips` names them."""
    return mfcc(np.stack([fit_clip(read_clip(folder / clip)) for clip in clips]))


def build(folder: Path, classes: Sequence[str]) -> Dataset:
    """The data set of a folder of clips: features, standardised on the training speakers, and the split by speaker."""
    clips = list_clips(folder, classes)
    features = clip_features(folder, clips)
    origins = [speaker_of(clip) for clip in clips]
    parts = np.array([part_of(origin, validation_from=VALIDATION_FROM, test_from=TEST_FROM) for origin in origins], dtype=np.uint8)
    scale = standardisation(features[parts == Part.TRAIN])
    return Dataset(
        words=to_words(features, scale),
        labels=np.array([classes.index(clip.partition("/")[0]) for clip in clips], dtype=np.uint8),
        parts=parts,
        speakers=np.unique(origins, return_inverse=True)[1].astype(np.uint16),
        clips=np.array([clip_key(clip).encode("ascii") for clip in clips]),
        mean=scale.mean,
        deviation=scale.deviation,
    )


def write(path: Path, content: bytes) -> None:
    """Write the file.

    Raises:
        InputError: it cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(path), remedy="Choose a folder that exists and is writable") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the file and print its hash; 0, or the exit code of what went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path, help="tar archive or folder of clips, one folder per class")
    parser.add_argument("output", type=Path, help="the .npz file to write")
    chosen = parser.parse_args(arguments)
    classes = task_record("kws").classes
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = chosen.source
            if not folder.is_dir():
                folder = Path(scratch)
                unpack(chosen.source, folder)
            content = dataset_file.encode(build(folder, classes))
        write(chosen.output, content)
    except CodesignError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{chosen.output}: {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
