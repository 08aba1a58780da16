"""Data sets whose folders say what is in them: labelled folders, WaveFake, Fake-or-Real."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from deepfake_audio.datasets.core import LABELS, PARTITIONS, Label, Utterance
from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

AUDIO_SUFFIXES = frozenset(
    [
        ".wav",
        ".wave",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".snd",
        ".caf",
        ".w64",
        ".rf64",
        ".m4a",
        ".mp4",
        ".aac",
        ".webm",
        ".mkv",
        ".mka",
        ".mov",
        ".3gp",
        ".amr",
        ".wma",
    ]
)


def audio_files(directory: Path, on_error: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """
    Yield the audio files below a directory in a stable order.

    Hidden files and directories are left out, and links to directories are not followed.

    Args:
        directory: Where to look.
        on_error: Told of each directory that cannot be listed.

    Raises:
        DataError: If a directory cannot be listed and nobody is told: its files would be missing without a word.
    """
    for parent, directories, names in os.walk(directory, onerror=on_error or _refuse):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(names):
            if Path(name).suffix.lower() in AUDIO_SUFFIXES and not name.startswith("."):
                yield Path(parent) / name


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename}: the directory cannot be listed ({error.strerror})") from error


def subdirectories(directory: Path) -> list[Path]:
    """Return the directories right below one, by name, without hidden ones; none where it cannot be listed."""
    try:
        with os.scandir(directory) as entries:
            return sorted(directory / entry.name for entry in entries if entry.is_dir() and entry.name[0] != ".")
    except OSError:
        return []


# --- labelled folders ------------------------------------------------------------------------------------------


def is_folders(root: Path) -> bool:
    """Return whether there is audio in a directory that is named after a label."""
    return root.is_dir() and any(_folder_label(path.relative_to(root)) for path in audio_files(root))


def _folder_label(relative: Path) -> Label | None:
    """Return the label that the nearest directory above a file names."""
    return next((LABELS[part.lower()] for part in reversed(relative.parts[:-1]) if part.lower() in LABELS), None)


def read_folders(root: Path, _columns: Mapping[str, str]) -> Iterator[Utterance]:
    """Read what lies in labelled folders; folders that name neither label nor partition are source and system."""
    yield from _labelled(audio_files(root), root)


def _labelled(paths: Iterator[Path], root: Path) -> Iterator[Utterance]:
    for path in paths:
        relative = path.relative_to(root)
        if label := _folder_label(relative):
            folders = relative.parts[:-1]
            partition = next((PARTITIONS[part.lower()] for part in folders if part.lower() in PARTITIONS), "")
            others = "/".join(part for part in folders if part.lower() not in {**LABELS, **PARTITIONS})
            yield Utterance(
                path,
                label,
                utterance_id=relative.as_posix(),
                partition=partition,
                source=others,
                group=others,
                system=others if label is Label.SPOOF else "",
            )


# --- Fake-or-Real ----------------------------------------------------------------------------------------------

_VERSION = re.compile(r"for-(original|norm|2sec|2seconds|rerec|rerecorded)")


def is_fake_or_real(root: Path) -> bool:
    """Return whether a version of Fake-or-Real is here or right below."""
    return bool(_versions(root))


def _versions(root: Path) -> list[Path]:
    return [path for path in (root, *subdirectories(root)) if _VERSION.fullmatch(path.name) and _has_training(path)]


def _has_training(version: Path) -> bool:
    return any((version / part).is_dir() for part in ("training", "validation", "testing"))


def read_fake_or_real(root: Path, _columns: Mapping[str, str]) -> Iterator[Utterance]:
    """Read ``for-norm/{training,validation,testing}/{real,fake}``; ids begin with the version's folder."""
    versions = _versions(root)
    if not versions:
        raise DataError(f"{root}: expected a directory such as for-norm with training, validation or testing here")
    if len(versions) > 1:
        raise DataError(
            f"{root}: holds {len(versions)} versions of Fake-or-Real, which share recordings; give one of them: "
            f"{' or '.join(map(str, versions))}"
        )
    (version,) = versions
    yield from _labelled(audio_files(version), version.parent)


# --- WaveFake --------------------------------------------------------------------------------------------------

# A folder of generated audio is CORPUS_VOCODER; the words of a corpus may be joined by the same sign.
_CORPORA = ("ljspeech", "jsut", "common_voices")


def is_wavefake(root: Path) -> bool:
    """Return whether ``generated_audio`` is here, or below, with a folder for each vocoder."""
    return any(audio.name == "generated_audio" for audio in subdirectories(root)) or root.name == "generated_audio"


def read_wavefake(root: Path, _columns: Mapping[str, str]) -> Iterator[Utterance]:
    """Read ``generated_audio/CORPUS_VOCODER`` as spoof, and what lies in ``real_audio`` beside it as bona fide."""
    top = root.parent if root.name == "generated_audio" else root
    if not subdirectories(top / "generated_audio"):
        raise DataError(f"{root}: expected a directory generated_audio with folders such as ljspeech_melgan here")
    for folder in subdirectories(top / "real_audio"):
        for path in audio_files(folder):
            yield _wavefake(path, top, Label.BONAFIDE, folder.name)
    for folder in subdirectories(top / "generated_audio"):
        for path in audio_files(folder):
            yield _wavefake(path, top, Label.SPOOF, folder.name)


def _wavefake(path: Path, top: Path, label: Label, folder: str) -> Utterance:
    corpus, vocoder = _corpus_and_vocoder(folder)
    return Utterance(
        path,
        label,
        utterance_id=path.relative_to(top).as_posix(),
        source=corpus,
        group=corpus,
        system=folder if label is Label.SPOOF else "",
        facts={"vocoder": vocoder} if label is Label.SPOOF else {},
    )


def _corpus_and_vocoder(folder: str) -> tuple[str, str]:
    """
    Return what a folder's name is made of.

    Examples:
        >>> _corpus_and_vocoder("ljspeech_multi_band_melgan")
        ('ljspeech', 'multi_band_melgan')
        >>> _corpus_and_vocoder("LJSpeech-1.1")
        ('ljspeech', '1.1')
    """
    name = folder.lower()
    corpus = next((corpus for corpus in _CORPORA if name.startswith(corpus)), re.split("[-_]", name)[0])
    return corpus, folder[len(corpus) :].lstrip("-_")
