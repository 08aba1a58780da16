"""
Score files: what a detector said of each utterance, in the formats of the field, without any audio.

Scores are higher for bona fide speech; nothing flips a sign. What is read, all of it packed by gzip as well:

- ``asvspoof2019``    ``UTTERANCE ATTACK KEY SCORE``
- ``asvspoof2021``    ``UTTERANCE SCORE``
- ``asvspoof5``       ``filename<TAB>cm-score`` with this header
- ``aasist5``         ``SPEAKER UTTERANCE SCORE KEY``, which ASVspoof 5's AASIST baseline writes
- ``csv``             a header with columns for id and score, and others; also what ``predict`` writes
- ``json``, ``jsonl`` records with an id and a score; also what ``predict`` writes

Those of ``FORMATS`` are also written. A file that does not fit is a ``DataError`` with its line.
"""

from deepfake_audio.scorefiles.asv import AsvScores, read_asv_scores
from deepfake_audio.scorefiles.matching import Matched, match
from deepfake_audio.scorefiles.reading import ScoreFile, read_scores, utterances_of
from deepfake_audio.scorefiles.writing import FORMATS, write_scores

__all__ = [
    "FORMATS",
    "AsvScores",
    "Matched",
    "ScoreFile",
    "match",
    "read_asv_scores",
    "read_scores",
    "utterances_of",
    "write_scores",
]
