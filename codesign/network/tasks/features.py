"""Audio features of the keyword-spotting task: mel-frequency cepstral coefficients, in numpy alone.

The set-up is the one of MLPerf Tiny's keyword-spotting reference [MLPerfTiny]_, whose operations are TensorFlow's
[tf.signal]_: one second at 16 kHz scaled to a peak of 1, windows of 30 ms every 20 ms, magnitude spectrum, 40 mel bands
from 20 to 4,000 Hz, logarithm, and the first 10 coefficients of a discrete cosine transform.

Notation: ``n`` clips, ``t`` samples of a clip, ``f`` frames, ``k`` spectrum bins, ``m`` mel bands, ``c`` coefficients.

.. [MLPerfTiny] github.com/mlcommons/tiny, benchmark/training/keyword_spotting (get_dataset.py, kws_util.py).
.. [tf.signal] tensorflow.org/api_docs/python/tf/signal: stft, hann_window, linear_to_mel_weight_matrix,
   mfccs_from_log_mel_spectrograms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError

FloatArray = NDArray[np.float64]

SAMPLE_RATE_HZ = 16_000
CLIP_SAMPLES = 16_000
WINDOW_SAMPLES = 480
HOP_SAMPLES = 320
FFT_SAMPLES = 512
FRAMES = 1 + (CLIP_SAMPLES - WINDOW_SAMPLES) // HOP_SAMPLES
MEL_BANDS = 40
LOWEST_HZ = 20.0
HIGHEST_HZ = 4_000.0
LOG_OFFSET = 1e-6
COEFFICIENTS = 10

_CLIPS_AT_ONCE = 128
"""Bounds the working memory of the spectra to about 50 MB."""


def mfcc(clips: NDArray[np.floating] | NDArray[np.integer]) -> FloatArray:
    """Mel-frequency cepstral coefficients of clips of one second.

    Args:
        clips: n x 16,000 samples at 16 kHz, in any unit: each clip is scaled to a peak of 1.

    Returns:
        n x 49 x 10: clips x frames x coefficients, dimensionless.

    Raises:
        InputError: ``clips`` is not n x 16,000, or not finite.
    """
    samples = np.asarray(clips)
    if samples.ndim != 2 or samples.shape[1] != CLIP_SAMPLES:
        raise InputError(f"clips have the shape {samples.shape}", remedy=f"Give n x {CLIP_SAMPLES:,} samples; `fit_clip` pads and cuts")
    if not np.isfinite(samples).all():
        raise InputError("clips hold values that are not finite numbers", remedy="Check the audio files")
    made = np.empty((len(samples), FRAMES, COEFFICIENTS))
    for start in range(0, len(samples), _CLIPS_AT_ONCE):
        chunk = slice(start, start + _CLIPS_AT_ONCE)
        made[chunk] = cepstrum(log_mel(spectrogram(scale_to_peak(samples[chunk]))))
    return made


def fit_clip(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """One clip of exactly 16,000 samples: zeros appended, or the end cut off, as MLPerf Tiny does."""
    return np.pad(samples[:CLIP_SAMPLES], (0, max(0, CLIP_SAMPLES - len(samples))))


def scale_to_peak(clips: NDArray[np.floating] | NDArray[np.integer]) -> FloatArray:
    """Clips (n x t) as float64 divided by their largest magnitude; a clip of zeros stays zero.

    MLPerf Tiny divides by the largest *signed* sample, which flips or blows up a clip whose peak is negative.
    """
    samples = np.asarray(clips, dtype=np.float64)
    peak = np.abs(samples).max(axis=1, keepdims=True)
    return samples / np.where(peak > 0, peak, 1.0)


def hann_window() -> FloatArray:
    """Periodic Hann window of 480 samples: ``0.5 - 0.5 cos(2 pi i / 480)`` [tf.signal]_."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)


def spectrogram(clips: FloatArray) -> FloatArray:
    """Magnitude spectra, n x 49 x 257, of clips n x 16,000: whole windows only, zeros appended to 512 samples."""
    frames = np.lib.stride_tricks.sliding_window_view(clips, WINDOW_SAMPLES, axis=1)[:, ::HOP_SAMPLES]
    return np.abs(np.fft.rfft(frames * hann_window(), n=FFT_SAMPLES, axis=2))


def mel_weights(
    bands: int = MEL_BANDS,
    bins: int = FFT_SAMPLES // 2 + 1,
    sample_rate_hz: float = SAMPLE_RATE_HZ,
    lowest_hz: float = LOWEST_HZ,
    highest_hz: float = HIGHEST_HZ,
) -> FloatArray:
    """Weights, k x m, from spectrum bins to mel bands: triangles on the mel scale, the constant (0 Hz) bin left out.

    Same arguments and values as ``tf.signal.linear_to_mel_weight_matrix`` [tf.signal]_.
    """
    bin_mel = _mel(np.linspace(0.0, sample_rate_hz / 2, bins))[:, None]
    edges = np.linspace(_mel(np.float64(lowest_hz)), _mel(np.float64(highest_hz)), bands + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bin_mel - lower) / (centre - lower), (upper - bin_mel) / (upper - centre))
    weights: FloatArray = np.maximum(0.0, triangles)
    weights[0] = 0.0
    return weights


def log_mel(spectra: FloatArray) -> FloatArray:
    """Logarithm of the mel bands, n x f x m, of magnitude spectra n x f x k."""
    return np.log(spectra @ mel_weights() + LOG_OFFSET)


def cepstrum(bands: FloatArray) -> FloatArray:
    """First 10 coefficients, n x f x c, of log mel bands n x f x m: ``sqrt(2/m) sum_i x_i cos(pi c (i + 1/2) / m)``.

    The cosine transform of type II with the scale of ``tf.signal.mfccs_from_log_mel_spectrograms`` [tf.signal]_.
    """
    count = bands.shape[-1]
    angles = np.outer(np.arange(count) + 0.5, np.arange(COEFFICIENTS)) * (np.pi / count)
    coefficients: FloatArray = bands @ (np.cos(angles) * np.sqrt(2.0 / count))
    return coefficients


def _mel(frequency_hz: FloatArray | np.float64) -> FloatArray:
    """The mel scale of HTK, ``1127 ln(1 + f / 700 Hz)`` [tf.signal]_."""
    return np.asarray(1127.0 * np.log1p(frequency_hz / 700.0))
