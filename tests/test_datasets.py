"""Data sets: each layout as its owners publish it, and everything that can be wrong with a manifest."""

from __future__ import annotations

import gc
import gzip
import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from layouts import EXAMPLES, META, make_csv, make_folders, make_in_the_wild, manifest, touch

from deepfake_audio.datasets import LAYOUTS, Dataset, Label, Utterance, audio_files, read_dataset
from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable


def only(data: Dataset, name: str) -> Utterance:
    """Return the one utterance of that id."""
    (found,) = [u for u in data.utterances if u.utterance_id == name]
    return found


# --- all layouts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_is_recognised_and_read(layout: str, tmp_path: Path) -> None:
    """Each layout has an example here, `auto` recognises it, and both classes are found."""
    root = EXAMPLES[layout](tmp_path)
    data = read_dataset(root)
    assert (data.layout, data.n_bonafide, data.n_spoof) == (layout, 1, 1)
    assert data == read_dataset(str(root), layout)
    assert [u.is_bonafide for u in data.utterances] == [True, False]


@pytest.mark.parametrize(
    ("make", "layout", "match"),
    [
        pytest.param(lambda root: root / "nowhere", "auto", "nowhere: there is no such directory", id="missing"),
        pytest.param(make_folders, "kaldi", f"unknown layout 'kaldi'; layouts: auto, {', '.join(LAYOUTS)}", id="x"),
        pytest.param(lambda root: root, "auto", "the layout was not recognised; expected a CSV", id="empty directory"),
        pytest.param(lambda root: root, "folders", "no labelled audio files were found", id="no folders"),
        pytest.param(lambda root: root, "asvspoof2019", "expected a directory ASVspoof2019_LA_cm_", id="no protocols"),
        pytest.param(lambda root: root, "csv", "needs a manifest file, this is a directory", id="no manifest"),
        pytest.param(make_csv, "folders", "the directory cannot be listed", id="file for folders"),
        pytest.param(make_csv, "asvspoof2019", "expected a directory ASVspoof2019_LA_cm_", id="file for asvspoof"),
        pytest.param(lambda root: touch(root, "a.wav") / "a.wav", "auto", "was not recognised", id="a recording"),
        pytest.param(lambda root: touch(root, "a.wav", "b/c.wav"), "auto", "was not recognised", id="no labels"),
        pytest.param(lambda root: touch(root, "spoof/readme.txt"), "auto", "was not recognised", id="no audio"),
    ],
)
def test_what_does_not_fit_a_layout(make: Callable[[Path], Path], layout: str, match: str, tmp_path: Path) -> None:
    """A place that holds no data set of that layout is refused, and the message says what was expected."""
    with pytest.raises(DataError, match=match):
        read_dataset(make(tmp_path), layout)


def test_select_a_partition(tmp_path: Path) -> None:
    """A partition is found by its name or a synonym of it; a wrong name is answered with the right ones."""
    data = read_dataset(touch(tmp_path, "train/real/a.wav", "val/real/b.wav", "val/fake/c.wav"))
    assert data.partitions == ("train", "dev")
    assert [u.path.name for u in data.select("dev").utterances] == ["c.wav", "b.wav"]
    assert data.select("Validation") == data.select("dev")
    assert data.select("train, validation") == data
    for wrong in ("eval", "train,eval"):
        with pytest.raises(DataError, match="has no partition 'eval'; partitions: train, dev"):
            data.select(wrong)


def test_select_without_partitions(tmp_path: Path) -> None:
    """A data set without partitions says so."""
    with pytest.raises(DataError, match="no partition 'dev'; partitions: none"):
        read_dataset(make_folders(tmp_path)).select("dev")


def test_facts(tmp_path: Path) -> None:
    """A fact is found by its name, in the fields as well; an attack is a system; what is not said is empty."""
    facts = {"codec": "opus"}
    utterance = Utterance(tmp_path, Label.SPOOF, "a", "eval", "page", "author", "vits", "ann", facts)
    names = ("system", "attack", "source", "speaker", "partition", "group", "codec", "colour", "label")
    assert [utterance.fact(name) for name in names] == ["vits", "vits", "page", "ann", "eval", "author", "opus", "", ""]


def test_facts_do_not_make_another_utterance(tmp_path: Path) -> None:
    """Two utterances that differ in their facts alone are one and the same."""
    bare, full = (Utterance(tmp_path, Label.SPOOF, "a", facts=facts) for facts in ({}, {"codec": "opus"}))
    assert (bare, hash(bare)) == (full, hash(full))


def test_facts_of_a_data_set(tmp_path: Path) -> None:
    """The names that say something of at least one utterance: fields first, then facts as they appear."""
    first = Utterance(tmp_path / "a", Label.BONAFIDE, "a", speaker="ann", facts={"trim": "no"})
    second = Utterance(tmp_path / "b", Label.SPOOF, "b", system="vits", facts={"codec": "opus", "trim": "no"})
    assert Dataset(tmp_path, "csv", (first, second)).facts == ("system", "speaker", "trim", "codec")
    assert read_dataset(make_folders(tmp_path)).facts == ()


def test_reading_does_not_leave_the_collector_off(tmp_path: Path) -> None:
    """Garbage collection, paused for speed, goes on afterwards, errors included; one that was off stays off."""
    with pytest.raises(DataError, match="no labelled audio"):
        read_dataset(tmp_path, "folders")
    assert gc.isenabled()
    gc.disable()
    try:
        read_dataset(make_folders(tmp_path))
        assert not gc.isenabled()
    finally:
        gc.enable()


# --- folders ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", ["", "a/", "a/b/c/"])
@pytest.mark.parametrize(
    ("folder", "label"),
    [
        *((name, Label.BONAFIDE) for name in ("bonafide", "bona-fide", "genuine", "real", "Human", "Bona Fide")),
        *((name, Label.SPOOF) for name in ("spoof", "deepfake", "fake", "SPOOFED", "synthetic")),
    ],
)
def test_folder_names_are_labels(folder: str, label: Label, depth: str, tmp_path: Path) -> None:
    """A folder named after a label labels what is below it, at any depth and in any case."""
    data = read_dataset(touch(tmp_path, f"{depth}{folder}/speaker/x.wav"))
    assert [u.label for u in data.utterances] == [label]


def test_folders_give_partition_source_and_system(tmp_path: Path) -> None:
    """Folders that are neither label nor partition are the source, and for spoof the system (here: FoR's names)."""
    data = read_dataset(touch(tmp_path, "for-norm/training/real/a.wav", "for-norm/testing/fake/tts/b.wav"))
    folders: dict[str, Any] = {
        "partition": "eval",
        "source": "for-norm/tts",
        "group": "for-norm/tts",
        "system": "for-norm/tts",
    }
    name = "for-norm/testing/fake/tts/b.wav"
    assert only(data, name) == Utterance(tmp_path / name, Label.SPOOF, name, **folders)
    folders = {"partition": "train", "source": "for-norm", "group": "for-norm", "system": ""}
    name = "for-norm/training/real/a.wav"
    assert only(data, name) == Utterance(tmp_path / name, Label.BONAFIDE, name, **folders)


def test_the_nearest_folder_decides(tmp_path: Path) -> None:
    """Of two labels above a file the nearer one counts; names above the root do not count at all."""
    root = touch(tmp_path / "fake", "fake/real/a.wav", "b.wav")
    assert [(u.path.name, u.label) for u in read_dataset(root).utterances] == [("a.wav", Label.BONAFIDE)]


@pytest.mark.parametrize(
    "name", ["two words.wav", "line\nbreak.wav", "komma,\"quote'.wav", "日本語.flac", "[bold]x.MP3"]
)
def test_odd_file_names(name: str, tmp_path: Path) -> None:
    """Every file name that a file system takes is read."""
    assert [u.path for u in read_dataset(touch(tmp_path, f"real/{name}")).utterances] == [tmp_path / "real" / name]


def test_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    """A name of bytes that are no UTF-8 is read like any other."""
    (tmp_path / "real").mkdir()
    path = Path(os.fsdecode(os.fsencode(tmp_path / "real") + b"/caf\xe9.wav"))
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert [u.path for u in read_dataset(tmp_path).utterances] == [path]


def test_audio_files_are_found_in_order(tmp_path: Path) -> None:
    """Only files with the suffix of audio are found, in a stable order; nothing hidden, nothing behind links."""
    root = touch(tmp_path / "root", "b/2.WAV", "b/10.opus", "a/x.m4a", "z.wav", "notes.txt", "noext", "a/x.wav.part")
    touch(root, ".hidden.wav", "__MACOSX/._z.wav", ".trash/old.wav", "b/.cache/y.wav")
    touch(tmp_path / "elsewhere", "far.wav")
    (root / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "loop").symlink_to(root, target_is_directory=True)
    found = [path.relative_to(root).as_posix() for path in audio_files(root)]
    assert found == ["z.wav", "a/x.m4a", "b/10.opus", "b/2.WAV"]


def test_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without permission is an error: its files would be missing without a word."""
    real_scandir = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return real_scandir(path)

    touch(tmp_path, "real/a.wav", "real/closed/b.wav")
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"closed: the directory cannot be listed \(Permission denied\)"):
        read_dataset(tmp_path)


# --- WaveFake --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", [".", "generated_audio"])
def test_wavefake(root: str, tmp_path: Path) -> None:
    """The attack is the folder, ids include it, and what lies in real_audio beside it is bona fide."""
    touch(tmp_path, "real_audio/LJSpeech-1.1/wavs/LJ001-0001.wav", "real_audio/jsut_ver1.1/basic5000/wav/B_1.wav")
    touch(tmp_path, "generated_audio/ljspeech_melgan_large/LJ001-0001_gen.wav", "generated_audio/readme.txt")
    touch(tmp_path, "generated_audio/jsut_parallel_wavegan/B_1_gen.wav")
    name = "generated_audio/ljspeech_melgan_large/LJ001-0001_gen.wav"
    data = read_dataset(tmp_path / root)
    assert (data.layout, data.n_bonafide, data.n_spoof) == ("wavefake", 2, 2)
    assert only(data, name) == Utterance(
        tmp_path / name, Label.SPOOF, name, source="ljspeech", group="ljspeech", system="ljspeech_melgan_large"
    )
    assert only(data, name).facts == {"vocoder": "melgan_large"}
    assert [(u.source, u.system, u.fact("vocoder")) for u in data.utterances if u.is_bonafide] == [
        ("ljspeech", "", ""),
        ("jsut", "", ""),
    ]


def test_wavefake_keeps_equal_names_apart(tmp_path: Path) -> None:
    """Vocoders were given the same sentences; prompts of Common Voice are a corpus of their own."""
    other = "common_voices_prompts_from_conformer_fastspeech2_pwg_ljspeech"
    touch(tmp_path, *(f"generated_audio/{folder}/1_gen.wav" for folder in ("ljspeech_hifiGAN", "jsut_melgan", other)))
    data = read_dataset(tmp_path)
    assert len({u.utterance_id for u in data.utterances}) == 3
    assert [(u.source, u.fact("vocoder")) for u in data.utterances] == [
        ("common_voices", "prompts_from_conformer_fastspeech2_pwg_ljspeech"),
        ("jsut", "melgan"),
        ("ljspeech", "hifiGAN"),
    ]


@pytest.mark.parametrize("names", [["real_audio/LJSpeech-1.1/a.wav"], ["generated_audio/loose.wav"]])
def test_wavefake_without_generated_audio(names: list[str], tmp_path: Path) -> None:
    """Without a folder of generated speech it is not WaveFake."""
    with pytest.raises(DataError, match="expected a directory generated_audio with folders such as ljspeech_melgan"):
        read_dataset(touch(tmp_path, *names), "wavefake")


# --- Fake-or-Real ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", [".", "for-rerecorded"])
def test_fake_or_real(root: str, tmp_path: Path) -> None:
    """Folders say partition and label; ids begin with the version, wherever the root is."""
    name = "for-rerecorded/validation/fake/file2.mp3"
    touch(tmp_path, "for-rerecorded/training/real/file2.wav", name)
    data = read_dataset(tmp_path / root)
    assert (data.layout, data.partitions) == ("fake-or-real", ("train", "dev"))
    version = "for-rerecorded"
    assert only(data, name) == Utterance(
        tmp_path / name, Label.SPOOF, name, "dev", source=version, group=version, system=version
    )


def test_fake_or_real_in_several_versions(tmp_path: Path) -> None:
    """Versions hold the same recordings in different shape: the message names the directories to choose from."""
    for version in ("for-2seconds", "for-norm"):
        touch(tmp_path, f"{version}/training/real/a.wav", f"{version}/training/fake/a.wav")
    there = f"give one of them: {tmp_path / 'for-2seconds'} or {tmp_path / 'for-norm'}"
    with pytest.raises(DataError, match=f"holds 2 versions .*{re.escape(there)}"):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path / "for-norm").n_spoof == 1


def test_fake_or_real_that_is_not(tmp_path: Path) -> None:
    """A folder of that name without its parts is none."""
    touch(tmp_path, "for-norm/real/a.wav")
    assert read_dataset(tmp_path).layout == "folders"
    with pytest.raises(DataError, match="expected a directory such as for-norm with training, validation or testing"):
        read_dataset(tmp_path, "fake-or-real")


# --- In-the-Wild -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", [".", "release_in_the_wild", "release_in_the_wild/meta.csv"])
def test_in_the_wild(root: str, tmp_path: Path) -> None:
    """A table of file, speaker and label; a group is a speaker, whose name may have spaces."""
    make_in_the_wild(tmp_path)
    data = read_dataset(tmp_path / root)
    assert data.layout == "in-the-wild"
    path, speaker = tmp_path / "release_in_the_wild" / "0.wav", "Alec Guinness"
    assert only(data, "0.wav") == Utterance(
        path, Label.SPOOF, "0.wav", source="in-the-wild", group=speaker, speaker=speaker
    )


def test_in_the_wild_faults(tmp_path: Path) -> None:
    """A row that does not fit is named with its line; a directory without the table is told its name."""
    with pytest.raises(DataError, match=r"expected meta\.csv or release_in_the_wild/meta\.csv here"):
        read_dataset(tmp_path, "in-the-wild")
    path = manifest(tmp_path, META + "4.wav,Christopher Hitchens,spoof\n", "meta.csv")
    with pytest.raises(DataError, match=r"meta\.csv, line 4: .*4\.wav, in line 2 as bonafide and here as spoof"):
        read_dataset(tmp_path)
    path.write_text(META + "5.wav,Ann,bona-fake\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"meta\.csv, line 4: expected a label .* 'bona-fake'"):
        read_dataset(path)


# --- csv -------------------------------------------------------------------------------------------------------


def test_csv_takes_all_columns(tmp_path: Path) -> None:
    """Every column that is known is taken, in any order; others are ignored; a bona fide utterance has no system."""
    text = (
        "speaker,seconds,label,split,path,source,group,system\n"
        "ann,3.4,genuine,validation,x/a.wav,page1,author1,human\n"
        "bob,2.0,fake,fold 7,b.wav,page2,author2,vits\n"
    )
    real, fake = read_dataset(manifest(tmp_path, text)).utterances
    assert real == Utterance(tmp_path / "x/a.wav", Label.BONAFIDE, "x/a.wav", "dev", "page1", "author1", "", "ann")
    assert fake == Utterance(tmp_path / "b.wav", Label.SPOOF, "b.wav", "fold 7", "page2", "author2", "vits", "bob")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param("file,speaker,label\na b.wav,Ann,bona-fide\n", "meta.csv", id="In-the-Wild"),
        pytest.param("\ufefffilename,class\na b.wav,Real\n", "bom.csv", id="byte order mark"),
        pytest.param("  PATH , Label\n a b.wav , bona fide \n", "spaces.csv", id="spaces and case"),
        pytest.param("path\tlabel\na b.wav\tgenuine\n", "tabs.TSV", id="tabs"),
        pytest.param('"path","label"\r\n"a b.wav","human"\r\n\r\n', "crlf.csv", id="quotes, CRLF, blank line"),
        pytest.param("audio,key,extra\na b.wav,bonafide\n", "short.csv", id="short row"),
        pytest.param("path,label\na b.wav,bonafide,too,many\n", "long.csv", id="long row"),
        pytest.param("path,label\na b.wav,bonafide", "end.csv", id="no newline at the end"),
    ],
)
def test_csv_dialects(text: str, name: str, tmp_path: Path) -> None:
    """Headers are found by their synonyms, and the usual ways to write a table are all read."""
    (utterance,) = read_dataset(manifest(tmp_path, text, name)).utterances
    assert (utterance.path, utterance.label) == (tmp_path / "a b.wav", Label.BONAFIDE)


def test_csv_facts(tmp_path: Path) -> None:
    """Columns that are none of ours are facts under their own names; three have one name for all data sets."""
    text = (
        "path,label,Seconds,lang,method,technique,compression,,subset,split\n"
        "a.wav,real,3.4,en,human,,, x ,eval,dev\n"
        "b.wav,fake,2,,vocoder,gan,mp3,,,dev,more\n"
    )
    data = read_dataset(manifest(tmp_path, text))
    real, fake = data.utterances
    assert real.facts == {"Seconds": "3.4", "language": "en", "family": "human", "subset": "eval"}
    assert fake.facts == {"Seconds": "2", "family": "vocoder", "technique": "gan", "codec": "mp3"}
    assert data.facts == ("partition", "Seconds", "language", "family", "subset", "technique", "codec")
    assert data.partitions == ("dev",)


def test_csv_packed(tmp_path: Path) -> None:
    """A manifest may be packed; one that is cut off is named."""
    path = tmp_path / "m.csv.gz"
    path.write_bytes(gzip.compress(b"path,label\na.wav,real\nb.wav,fake\n"))
    assert [u.path.name for u in read_dataset(path).utterances] == ["a.wav", "b.wav"]
    for content in (path.read_bytes()[:-9], b"path,label\n", path.read_bytes()[:10] + b"\xff" * 20):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"m\.csv\.gz: is damaged, it cannot be unpacked"):
            read_dataset(path)


def test_csv_quoted_fields(tmp_path: Path) -> None:
    """Quoted commas, quotes and line breaks belong to the path, and line numbers go by lines of the file."""
    text = 'path,label\n"a, ""b""\nc.wav",real\nd.wav,perhaps\n'
    with pytest.raises(DataError, match=r"manifest.csv, line 4: .* found 'perhaps'"):
        read_dataset(manifest(tmp_path, text))
    (utterance,) = read_dataset(manifest(tmp_path, text.replace("perhaps", "real"))).utterances[:1]
    assert utterance.path == tmp_path / 'a, "b"\nc.wav'


def test_csv_columns_are_chosen(tmp_path: Path) -> None:
    """A column that is named by the user wins over one that is found by its header."""
    path = manifest(tmp_path, "path,clip,label,truth\nwrong.wav,right.wav,spoof,real\n")
    (utterance,) = read_dataset(path, columns={"path": "clip", "label": "truth"}).utterances
    assert (utterance.path.name, utterance.label) == ("right.wav", Label.BONAFIDE)


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"path": "clip"}, "manifest.csv: has no column 'clip'; columns: path, label"),
        ({"colour": "label"}, "unknown column 'colour'; columns that are used: path, label, partition"),
    ],
    ids=["not in the header", "not one of ours"],
)
def test_csv_columns_that_are_not_there(columns: dict[str, str], match: str, tmp_path: Path) -> None:
    """A wrong name on either side of OURS=THEIRS is refused with the right ones."""
    with pytest.raises(DataError, match=match):
        read_dataset(make_csv(tmp_path), columns=columns)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        pytest.param(b"", "needs a column for the path .*; columns: none", id="empty file"),
        pytest.param(b"path,label\n", "no labelled audio files were found", id="header only"),
        pytest.param(b"a.wav,bonafide\n", "needs a column for the path .*; columns: a.wav, bonafide", id="no header"),
        pytest.param(b"path,speaker\na.wav,x\n", r"needs a column for the label \(label, class", id="no label column"),
        pytest.param(b"label,speaker\nreal,x\n", r"needs a column for the path \(path, file", id="no path column"),
        pytest.param(b"path,label\na.wav,real\nb.wav,1\n", "csv, line 3: expected a label .* '1'", id="unknown label"),
        pytest.param(b"path,label\na.wav\n", "csv, line 2: expected a label .* found ''", id="no label"),
        pytest.param(b"path,label\n  ,real\n", "csv, line 2: the column 'path' is empty", id="empty path"),
        pytest.param(b"path,label\ncaf\xe9.wav,real\n", "cannot be read as text in UTF-8", id="not UTF-8"),
        pytest.param("path,label\na.wav,real\n".encode("utf-16"), "cannot be read as text in UTF-8", id="UTF-16"),
        pytest.param(b'path,label\n"' + b"a" * 200_000, r"UTF-8 \(field larger than", id="open quote"),
        pytest.param(
            b"path,label\na.wav,real\n./a.wav,spoof\nb.wav,spoof\nb.wav,spoof\n",
            "2 files are listed more than once, first .*a.wav",
            id="listed twice",
        ),
    ],
)
def test_csv_faults(content: bytes, match: str, tmp_path: Path) -> None:
    """Each fault of a manifest is a message with the file, and the line where there is one."""
    path = tmp_path / "manifest.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=match) as raised:
        read_dataset(path)
    assert str(raised.value).startswith(str(path))


def test_csv_absolute_path(tmp_path: Path) -> None:
    """An absolute path stays one; all others are seen from the manifest, wherever the program was started."""
    absolute = tmp_path / "elsewhere" / "a.wav"
    (tmp_path / "sub").mkdir()
    data = read_dataset(manifest(tmp_path / "sub", f"path,label\n{absolute},real\n../b.wav,fake\n"))
    assert [u.path for u in data.utterances] == [absolute, tmp_path / "sub" / "../b.wav"]


@pytest.mark.skipif(os.name == "nt", reason="a backslash is always a separator there")
def test_csv_written_on_windows(tmp_path: Path) -> None:
    """Backslashes separate folders, unless there is a file with backslashes in its name."""
    touch(tmp_path, "clips/a.wav", "odd\\name.wav")
    text = "path,label\nclips\\a.wav,real\nodd\\name.wav,fake\nclips\\missing.wav,fake\n"
    data = read_dataset(manifest(tmp_path, text))
    expected = ["clips/a.wav", "odd\\name.wav", "clips/missing.wav"]
    assert [u.path.relative_to(tmp_path).as_posix() for u in data.utterances] == expected
    assert data.utterances[0].utterance_id == "clips\\a.wav"


def test_manifest_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest without permission is an error of this package."""
    path = make_csv(tmp_path)

    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"manifest.csv: cannot be opened \(Permission denied\)"):
        read_dataset(path)


# --- real data -------------------------------------------------------------------------------------------------


def test_real_corpus(shared: Path) -> None:
    """The corpus has the counts that its README states, its files are there, and no group is on both sides."""
    data = read_dataset(shared / "corpus" / "manifest.csv")
    counts = Counter((u.partition, u.label) for u in data.utterances)
    assert data.layout == "csv"
    assert counts == {
        ("train", "bonafide"): 1_648,
        ("train", "spoof"): 1_673,
        ("dev", "bonafide"): 741,
        ("dev", "spoof"): 703,
    }
    assert all(u.path.is_file() for u in data.utterances)
    assert not any(u.system for u in data.utterances if u.is_bonafide)
    train, dev = data.select("train").utterances, data.select("dev").utterances
    assert (len({u.source for u in train}), len({u.source for u in dev})) == (94, 48)
    assert not {u.group for u in train} & {u.group for u in dev}


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_csv_as_spreadsheets_write_it(tmp_path: Path, separator: str) -> None:
    """Any of the three separators, a mark at the beginning, CRLF, and rows of nothing but separators."""
    rows = ["path,label,note", "a.wav,real,x", ",,", "b.wav,fake,y", ",,"]
    text = "\ufeff" + "\r\n".join(rows).replace(",", separator)
    (tmp_path / "m.csv").write_text(text, encoding="utf-8", newline="")
    read = read_dataset(tmp_path / "m.csv").utterances
    assert [(u.utterance_id, str(u.label)) for u in read] == [("a.wav", "bonafide"), ("b.wav", "spoof")]
