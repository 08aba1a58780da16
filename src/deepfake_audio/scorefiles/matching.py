"""Scores and utterances that belong together, by their ids."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deepfake_audio.datasets import AUDIO_SUFFIXES
from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from deepfake_audio.datasets import Dataset, Utterance
    from deepfake_audio.scorefiles.reading import FloatArray, ScoreFile


@dataclass(frozen=True)
class Matched:
    """
    The utterances of a data set with their scores.

    Attributes:
        utterances: In the order of the data set.
        scores: One for each, shape (n,).
        unscored: Utterances of which the score file says that they have no score.
    """

    utterances: tuple[Utterance, ...]
    scores: FloatArray
    unscored: tuple[Utterance, ...] = ()


@dataclass(frozen=True)
class _Form:
    """A way to write ids, under which those of a file and of a data set may be equal."""

    of_id: Callable[[str], str]
    of_utterance: Callable[[Utterance], str]


def match(scores: ScoreFile, dataset: Dataset) -> Matched:
    """
    Find the score of each utterance.

    Ids match as they are; or without the suffix of audio; or by the last parts of their path, as many as both sides
    have and need to tell all apart; or because they are the path of the recording. Scores of what was left out when
    the data set was selected from a whole one are left out, too.

    Raises:
        DataError: If an id is unknown, an utterance has no score, or the two name different labels.
    """
    whole = dataset.whole or dataset
    form = _form(scores.ids, whole.utterances)
    index = {form.of_id(name): n for n, name in enumerate(scores.ids)}
    known = {form.of_utterance(utterance) for utterance in whole.utterances}
    if unknown := [n for key, n in index.items() if key not in known]:
        raise DataError(
            f"{scores.where(unknown[0])}: {scores.ids[unknown[0]]} is not in {whole.root}, where ids are such as "
            f"{dataset.utterances[0].utterance_id}; {len(unknown):,} of {len(scores):,} ids are unknown"
        )
    keys = [form.of_utterance(utterance) for utterance in dataset.utterances]
    without = {form.of_id(name) for name in scores.unscored}
    if missing := [n for n, key in enumerate(keys) if key not in index and key not in without]:
        raise DataError(
            f"{scores.path}: has no score for {len(missing):,} of {len(keys):,} utterances of {dataset.root}, first "
            f"{dataset.utterances[missing[0]].utterance_id}{_parts_with_scores(dataset, missing)}"
        )
    found = [n for n, key in enumerate(keys) if key in index]
    order = [index[keys[n]] for n in found]
    utterances = tuple(dataset.utterances[n] for n in found)
    _refuse_contradictions(scores, order, utterances)
    unscored = tuple(u for u, key in zip(dataset.utterances, keys, strict=True) if key not in index)
    return Matched(utterances, scores.scores[order], unscored)


def _parts_with_scores(dataset: Dataset, missing: Sequence[int]) -> str:
    """Return which partitions or subsets have scores, where not all have."""
    without = set(missing)
    scored = [utterance for n, utterance in enumerate(dataset.utterances) if n not in without]
    for name, parts in (("partition", dataset.partitions), ("subset", dataset.subsets)):
        there = {utterance.fact(name) for utterance in scored}
        chosen = [part for part in parts if part in there]
        if 0 < len(chosen) < len(parts):
            return f"; there are scores of {name} {', '.join(chosen)} (--{name})"
    return ""


def _refuse_contradictions(scores: ScoreFile, order: Sequence[int], utterances: Sequence[Utterance]) -> None:
    if scores.labels is None:
        return
    for n, utterance in zip(order, utterances, strict=True):
        if scores.labels[n] is not utterance.label:
            raise DataError(
                f"{scores.where(n)}: {scores.ids[n]} is {scores.labels[n]} here and {utterance.label} in the data set"
            )


def _form(ids: Sequence[str], utterances: Sequence[Utterance]) -> _Form:
    """Return the form under which most ids are found, the first of equals; one that confuses any two is none."""
    best, most = None, 0
    for form in _forms(utterances):
        theirs, ours = {form.of_id(name) for name in ids}, {form.of_utterance(u) for u in utterances}
        if len(theirs) < len(ids) or len(ours) < len(utterances):
            continue
        n_found = len(theirs & ours)
        if n_found == len(ids):
            return form
        if n_found > most:
            best, most = form, n_found
    return best or next(_forms(utterances))


def _forms(utterances: Sequence[Utterance]) -> Iterator[_Form]:
    yield _Form(str, lambda utterance: utterance.utterance_id)
    yield _Form(_stem, lambda utterance: _stem(utterance.utterance_id))
    for n_parts in range(1 + max(_slashes(u.utterance_id).count("/") for u in utterances), 0, -1):
        of_id = partial(tail, n_parts)
        yield _Form(of_id, lambda utterance, of_id=of_id: of_id(utterance.utterance_id))  # type: ignore[misc]
    yield _Form(_absolute, lambda utterance: _absolute(utterance.path))


def _absolute(path: str | Path) -> str:
    """Return where a path leads, by its words alone: half a million files are not asked for."""
    return os.path.normpath(Path(path).absolute())


def _slashes(name: str) -> str:
    return name.replace("\\", "/")


def _stem(name: str) -> str:
    """
    Return an id without the suffix of audio.

    Examples:
        >>> _stem("0.wav"), _stem("LA_E_1"), _stem("take.2")
        ('0', 'LA_E_1', 'take.2')
    """
    stem, _, suffix = name.rpartition(".")
    return stem if stem and f".{suffix.lower()}" in AUDIO_SUFFIXES else name


def tail(n_parts: int, name: str) -> str:
    """
    Return the last parts of an id that is a path, without the suffix of audio.

    Examples:
        >>> tail(2, "data/real/ann/a.wav")
        'ann/a'
    """
    return "/".join(_slashes(_stem(name)).split("/")[-n_parts:])
