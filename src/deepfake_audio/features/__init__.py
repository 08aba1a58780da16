"""
The front end: from windows of signal to features, as an ONNX graph.

There is one definition, ``frontend``. Training runs that graph (``extract``), and the same graph becomes the first
part of the model file, so what a model was trained on and what it sees later cannot drift apart.

Conventions, all of them librosa's: frames are centred (``center=True``, zeros beyond the ends), the window is a
periodic Hann window padded to ``n_fft``, power spectra, mel filters with Slaney's scale and norm, decibels as
``10 log10(max(power, 1e-10))`` cut at 80 dB below the window's maximum, an orthonormal DCT-II, and deltas by a
Savitzky-Golay filter over nine frames with the edge frames repeated (``mode="nearest"``).

Kinds of features of shape (channels, n_frames):

- ``mel``     log mel spectrogram, ``n_bands`` channels
- ``linear``  log power spectrogram, one channel per FFT bin between ``f_min`` and ``f_max``
- ``mfcc``    DCT of ``mel``, ``n_coefficients`` channels
- ``lfcc``    DCT of a log spectrogram in ``n_bands`` triangular bands of equal width in Hz
- ``fine``    ``linear`` without its envelope (the running mean over 320 Hz): tones and gaps at fixed frequencies
- ``cepstrum``  DCT over all FFT bins of the log spectrum, the energy of the first ``n_coefficients`` in ``n_bands``
  groups: how strong and how regular harmonics are
- ``flatness``  per mel band the level of its mean power minus the mean level of its bins: 0 dB for a flat band, more
  for a tone, about 2.5 dB for noise
- ``phase``   per linear band four means of cosines, 1 where the phase goes on evenly: of its second difference in time,
  its first and second in frequency, and its mixed one, beyond what hop and FFT explain

Deltas are stacked below as further channels. With ``statistics`` the frames are summed up and the result is a
vector: all channels of the first statistic, then all of the second, and so on.

The statistic ``texture<A>x<B>``, such as ``texture7x13``, is a local modulation spectrum: how strong each ripple is,
that is each coefficient of the two-dimensional DCT of a patch of A channels by B frames, on average over all patches
within each of four ranges of channels. It hears the grain of a picture: how sharp onsets are, how harmonics stand or
glide, and how rough the noise between them is.

Kinds that are vectors by themselves:

- ``modulation``   the spectrum over time of each of ``n_bands`` linear bands' log energy, in octaves and above them in
  sixteenths of the frame rate: rhythm, roughness, and the frame rates of vocoders
- ``correlation``  between the change of each linear band's log energy and that of each, ``lag`` frames before: shape
  (n_bands * n_bands,)
"""

from __future__ import annotations

from deepfake_audio.features.frontend import extract, frontend, linear_filters, mel_filters
from deepfake_audio.features.graph import INPUT, IR_VERSION, OPSET, OUTPUT
from deepfake_audio.features.spec import KINDS, VECTORS, FeatureSpec, converted, feature_shape, n_frames

__all__ = [
    "INPUT",
    "IR_VERSION",
    "KINDS",
    "OPSET",
    "OUTPUT",
    "VECTORS",
    "FeatureSpec",
    "converted",
    "extract",
    "feature_shape",
    "frontend",
    "linear_filters",
    "mel_filters",
    "n_frames",
]
