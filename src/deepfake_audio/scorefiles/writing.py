"""Score files for the official packages to read, and one with everything for our own."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, TextIO

from deepfake_audio.errors import DataError
from deepfake_audio.scorefiles.matching import tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from deepfake_audio.datasets import Utterance

    Pair = tuple[Utterance, float]


def write_scores(stream: TextIO, scored: Iterable[tuple[Utterance, float]], format_: str) -> None:
    """
    Write a score file.

    Scores have all their digits. The formats of ASVspoof have ids as its packages know them, without directory and
    suffix; ``csv`` has those of the data set, and all that is known of an utterance.

    Args:
        stream: A text file, opened with ``newline=""``.
        scored: The utterances and their scores, higher = more bona fide.
        format_: One of ``FORMATS``.

    Raises:
        DataError: If the format is unknown, a score is not finite, two ids are equal or one does not fit the format.
    """
    if format_ not in _WRITERS:
        raise DataError(f"unknown format {format_!r} for scores; formats: {', '.join(_WRITERS)}")
    pairs = list(scored)
    for utterance, score in pairs:
        if not math.isfinite(score):
            raise DataError(f"{utterance.utterance_id}: the score is {score}, which no format can hold")
    _WRITERS[format_](stream, pairs)


def _write_2019(stream: TextIO, pairs: Sequence[Pair]) -> None:
    """Write ``UTTERANCE ATTACK KEY SCORE``; bona fide has a dash for its attack."""
    for name, (utterance, score) in zip(_official_ids(pairs), pairs, strict=True):
        system = _one_word(utterance.system or "-", "attack", utterance)
        stream.write(f"{name} {system} {utterance.label} {float(score)!r}\n")


def _write_2021(stream: TextIO, pairs: Sequence[Pair]) -> None:
    """Write ``UTTERANCE SCORE``."""
    names = _official_ids(pairs)
    stream.writelines(f"{name} {float(score)!r}\n" for name, (_, score) in zip(names, pairs, strict=True))


def _write_5(stream: TextIO, pairs: Sequence[Pair]) -> None:
    """Write ``filename<TAB>cm-score`` with this header."""
    names = _official_ids(pairs)
    stream.write("filename\tcm-score\n")
    stream.writelines(f"{name}\t{float(score)!r}\n" for name, (_, score) in zip(names, pairs, strict=True))


def _write_csv(stream: TextIO, pairs: Sequence[Pair]) -> None:
    """Write a header and all that is known: an evaluation of the file needs no data set."""
    _require_unique([utterance.utterance_id for utterance, _ in pairs], "")
    fields = ("partition", "source", "group", "speaker")
    header = ("utterance_id", "system", "key", "score", *fields)
    facts = [name for name in dict.fromkeys(f for u, _ in pairs for f in u.facts) if name not in header]
    # Python's csv leaves a lone carriage return without quotes, which then ends the row.
    odd = any("\r" in word for u, _ in pairs for word in (u.utterance_id, u.system, *u.facts.values()))
    table = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL)
    table.writerow([*header, *facts])
    for u, score in pairs:
        known = [u.utterance_id, u.system or "-", u.label, repr(float(score)), *(u.fact(name) for name in fields)]
        table.writerow([*known, *(u.facts.get(name, "") for name in facts)])


def _official_ids(pairs: Sequence[Pair]) -> list[str]:
    ids = [_one_word(tail(1, utterance.utterance_id), "id", utterance) for utterance, _ in pairs]
    _require_unique(ids, " without its directory; write csv, which keeps it")
    return ids


def _one_word(text: str, what: str, utterance: Utterance) -> str:
    if not re.fullmatch(r"\S+", text):
        raise DataError(
            f"{utterance.utterance_id}: the {what} {text!r} is not one word, and spaces separate columns; write csv"
        )
    return text


def _require_unique(ids: Sequence[str], advice: str) -> None:
    if len(set(ids)) < len(ids):
        (name, count), *_ = Counter(ids).most_common(1)
        raise DataError(f"{name}: {count} scores have this id{advice}")


_WRITERS: dict[str, Callable[[TextIO, Sequence[Pair]], None]] = {
    "asvspoof2019": _write_2019,
    "asvspoof2021": _write_2021,
    "asvspoof5": _write_5,
    "csv": _write_csv,
}
FORMATS = tuple(_WRITERS)
