"""Read clips: 16-bit mono at 16 kHz, WAV with the standard library, FLAC with soundfile where it is installed."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError, ToolMissingError
from codesign.network.tasks.features import SAMPLE_RATE_HZ

Samples = NDArray[np.int16]


def read_clip(path: Path) -> Samples:
    """Samples (t,) of a ``.wav`` or ``.flac`` file.

    Raises:
        InputError: the file is unreadable, or not 16-bit mono at 16 kHz.
        ToolMissingError: a FLAC file, and soundfile is not installed.
    """
    return _read_flac(path) if path.suffix == ".flac" else read_wav(path)


def read_wav(path: Path) -> Samples:
    """Samples (t,) of a WAV file.

    Raises:
        InputError: the file is unreadable, or not 16-bit mono PCM at 16 kHz.
    """
    try:
        with wave.open(str(path), "rb") as file:
            _require(path, file.getframerate(), file.getnchannels(), 8 * file.getsampwidth())
            content = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise _unreadable(path, error) from None
    return np.frombuffer(content[: len(content) // 2 * 2], dtype="<i2").astype(np.int16)


def _read_flac(path: Path) -> Samples:
    try:
        import soundfile
    except ModuleNotFoundError:
        raise ToolMissingError(
            "reading FLAC needs the Python package soundfile", where=str(path), remedy="Install it: pip install 'codesign[dev]', or convert to WAV"
        ) from None
    try:
        with soundfile.SoundFile(path) as file:
            _require(path, file.samplerate, file.channels, int(file.subtype.removeprefix("PCM_")) if file.subtype.startswith("PCM_") else 0)
            samples: Samples = file.read(dtype="int16")
    except (OSError, RuntimeError) as error:
        raise _unreadable(path, error) from None
    return samples


def _require(path: Path, rate_hz: int, channels: int, bits: int) -> None:
    if (rate_hz, channels, bits) != (SAMPLE_RATE_HZ, 1, 16):
        raise InputError(
            f"{channels} channels of {bits} bits at {rate_hz:,} Hz, not 1 channel of 16 bits at {SAMPLE_RATE_HZ:,} Hz",
            where=str(path),
            remedy="Convert it (for example: sox IN -r 16000 -c 1 -b 16 OUT), or take the original file",
        )


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"not a readable audio file: {error}", where=str(path), remedy="Download or copy the file again")
