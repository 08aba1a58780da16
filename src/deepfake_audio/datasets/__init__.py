"""
Data sets: from a directory, a manifest or a protocol to a list of utterances.

Every layout is one entry of ``LAYOUTS``: how to recognise it, and how to read it. A layout that does not fit is a
``DataError`` that says which file and line, what was expected and what was found.

- ``asvspoof2019``  ASVspoof 2019 LA or PA as it is unpacked, or one of its CM protocols
- ``asvspoof2021``  ASVspoof 2021 LA, DF or PA with its keys, or one ``trial_metadata.txt``
- ``asvspoof5``     ASVspoof 5 track 1 as it is unpacked, or one of its protocols or keys
- ``in-the-wild``   In-the-Wild as it is unpacked
- ``wavefake``      WaveFake as it is unpacked, with real speech beside it
- ``fake-or-real``  one version of Fake-or-Real
- ``csv``           a manifest with a header; columns are found by name
- ``folders``       a directory whose sub-directories, at any depth, are named after a label
"""

from deepfake_audio.datasets.core import Dataset, Label, Layout, Utterance
from deepfake_audio.datasets.folders import AUDIO_SUFFIXES, audio_files
from deepfake_audio.datasets.layouts import LAYOUTS, read_dataset
from deepfake_audio.datasets.presence import missing_audio, require_audio

__all__ = [
    "AUDIO_SUFFIXES",
    "LAYOUTS",
    "Dataset",
    "Label",
    "Layout",
    "Utterance",
    "audio_files",
    "missing_audio",
    "read_dataset",
    "require_audio",
]
