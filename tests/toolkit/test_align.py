"""`auralign align` writes word times into a manifest, and lists whoever stays without."""

import json
import tarfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from auralign import cli
from auralign.align import from_recipe, locator
from auralign.data import tars
from auralign.data.word_times import NoWordTimes
from auralign.files import hash_path, write_json
from auralign.marks import ChangedOutputError
from auralign.models.build import build_recognizer
from auralign.models.encoders import SpeechEncoder, load_whisper
from auralign.models.recognizers import CTCRecognizer, load_whisper_decoder
from auralign.records import Records, Utterance, write_records
from auralign.stage import Stage
from auralign.testing import make_tiny_whisper
from recipe import make_recipe

GRID = '"ooTextFile"\n"TextGrid"\n0\n1\n<exists>\n1\n"IntervalTier"\n"{tier}"\n0\n1\n2\n0\n0.5\n"{}"\n0.5\n1\n"{}"\n'
WORDS = (("Three,", 0.0, 0.5), ("five", 0.5, 1.0))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_manifest(*ids, **fields):
    utterances = [
        Utterance(id=name, audio=f"{name}.flac", seconds=1.0, text="Three, five", **fields) for name in ids
    ]
    write_records("m.jsonl", utterances, kind=Utterance)


def make_grid(path, *words, tier="words", folder="grids"):
    path = Path(folder) / f"{path}.TextGrid"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(GRID.format(*(words or ("three", "five")), tier=tier))


def align(*arguments):
    """Run the command; the words of each utterance and the reason of each without."""
    cli.run(["align", "m.jsonl", *arguments])
    listed = [json.loads(line) for line in Path("m.unaligned.jsonl").read_text().splitlines()]
    return (
        {utterance.id: utterance.words for utterance in Records("m.jsonl", Utterance)},
        {item["id"]: item["reason"] for item in listed},
    )


def test_a_textgrid_is_found_by_the_id_anywhere_in_the_folder(here):
    make_manifest("a", "s1/b")
    make_grid("x/y/a")
    make_grid("s1/b")
    assert align("--textgrids", "grids") == ({"a": WORDS, "s1/b": WORDS}, {})


def test_who_stays_without_is_listed_with_the_reason(here, capsys):
    make_manifest("a", "gone", "other", "twice", "broken", "b/a.b")
    make_grid("a")
    make_grid("other", "three", "six")
    make_grid("1/twice")
    make_grid("2/twice")
    make_grid("broken", tier="phones")
    make_grid("c/a.b")  # of another folder
    words, reasons = align("--textgrids", "grids")
    assert words == {"a": WORDS, "gone": (), "other": (), "twice": (), "broken": (), "b/a.b": ()}
    assert reasons == {
        "gone": "no TextGrid",
        "other": "other words",
        "twice": "several TextGrids",
        "broken": "broken TextGrid",
        "b/a.b": "no TextGrid",
    }
    assert capsys.readouterr().out == (
        "align: 1 of 6 utterances of m.jsonl got word times; 5 without (broken TextGrid: 1, no TextGrid: 2, other words: 1, "
        "several TextGrids: 1), listed in m.unaligned.jsonl\n"
    )


def test_all_else_in_the_manifest_stays_byte_for_byte(here):
    make_manifest(
        "a", start=0.1, language="é", attributes={"age": 7}, labels={"x": ["\u2028"]}, audio_hash="ff"
    )
    before = Path("m.jsonl").read_bytes()
    make_grid("a")
    align("--textgrids", "grids")
    words = b'"words": [["Three,", 0.0, 0.5], ["five", 0.5, 1.0]], '
    after = Path("m.jsonl").read_bytes()
    assert words in after
    assert after.replace(words, b"") == before


def test_words_that_are_there_are_left_unless_forced(here, capsys):
    make_manifest("a", words=WORDS[:1])
    before = Path("m.jsonl").read_bytes()
    make_grid("a")
    align("--textgrids", "grids")
    assert Path("m.jsonl").read_bytes() == before
    assert (
        "0 of 1 utterances of m.jsonl got word times, 1 had them before; 0 without" in capsys.readouterr().out
    )
    assert align("--textgrids", "grids", "--force")[0] == {"a": WORDS}


def test_another_source_fills_what_the_first_had_not(here):
    make_manifest("a", "b")
    make_grid("a")
    make_grid("b", folder="more")
    assert align("--textgrids", "grids") == ({"a": WORDS, "b": ()}, {"b": "no TextGrid"})
    assert align("--textgrids", "more") == ({"a": WORDS, "b": WORDS}, {})


def test_the_same_again_changes_nothing(here):
    make_manifest("a", "b")
    make_grid("a")
    align("--textgrids", "grids")
    before = Path("m.jsonl").read_bytes()
    align("--textgrids", "grids")
    assert Path("m.jsonl").read_bytes() == before


def test_another_tier_is_read_when_named(here):
    make_manifest("a")
    make_grid("a", tier="Wörter")
    assert align("--textgrids", "grids", "--tier", "Wörter")[0] == {"a": WORDS}


def test_librispeech_alignments_are_found_by_chapter(here):
    make_manifest("1-2-3", "LibriSpeech/1-2-4", "1-2-5", "9-9-9")
    chapter = Path("libri/train/1/2/1-2.alignment.txt")
    chapter.parent.mkdir(parents=True)
    chapter.write_text("".join(f'1-2-{n} "THREE,FIVE," "0.5,1.0,1.0"\n' for n in (3, 4)))
    assert align("--librispeech", "libri") == (
        {"1-2-3": WORDS, "LibriSpeech/1-2-4": WORDS, "1-2-5": (), "9-9-9": ()},
        {"1-2-5": "not in its chapter", "9-9-9": "no chapter"},
    )


class FourFrames(torch.nn.Module):
    """An encoder that hears blank, the first token, blank, the second token, whatever is said."""

    width = 3
    seconds_at = SpeechEncoder.seconds_at

    def hears(self, seconds):
        return seconds < 30

    def forward(self, waveforms):
        frames = 9 * torch.nn.functional.one_hot(torch.tensor([[0, 1, 0, 2]]), 3).float()
        return frames.expand(len(waveforms), -1, -1), torch.full((len(waveforms),), 4)


def make_recognizer(width):
    head = torch.nn.Linear(width, width)
    with torch.no_grad():
        head.weight.copy_(torch.eye(width))
        head.bias.zero_()
    return CTCRecognizer(head, ["<blank>", "three", "five"])


PARTS = {"encoder": FourFrames, "recognizer": make_recognizer, "device": "cpu"}


def listen(**changes):
    """What CTC makes of one utterance."""
    utterance = Utterance(**{"id": "a", "audio": "a.wav", "seconds": 2.0, "text": "Three, five", **changes})
    write_records("m.jsonl", [utterance], kind=Utterance)
    soundfile.write("a.wav", np.zeros(48_000), 16_000)
    return from_recipe(SimpleNamespace(**PARTS), Records("m.jsonl", Utterance), path="x.yaml")(utterance)


def test_frames_are_told_in_seconds_of_the_utterance(here):
    assert listen() == [("Three,", 0.5, 1.0), ("five", 1.5, 2.0)]
    assert listen(start=1.0, seconds=1.0) == [("Three,", 0.25, 0.5), ("five", 0.75, 1.0)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"text": "three six"}, ("unknown words", "six")),
        ({"text": "three three five five five"}, ("too few frames", "4 for 5 words")),
        ({"seconds": 31.0}, ("longer than the encoder hears", "31.00 s")),
    ],
)
def test_what_ctc_cannot_align_is_a_reason(here, changes, reason):
    with pytest.raises(NoWordTimes) as caught:
        listen(**changes)
    assert caught.value.args == reason


def test_phrases_are_located_in_seconds_of_the_utterance(here):
    utterances = [
        Utterance(id="a", audio="a.wav", seconds=2.0, text="Three, five"),
        Utterance(id="b", audio="a.wav", start=1.0, seconds=1.0, text="Three, five"),
    ]
    write_records("m.jsonl", utterances, kind=Utterance)
    soundfile.write("a.wav", np.zeros(48_000), 16_000)
    locate = locator(SimpleNamespace(**PARTS), Records("m.jsonl", Utterance), path="x.yaml")
    first, second, unknown = locate("a", ["three five", "five", "six"])
    assert (first[:2], second[:2], unknown) == ((0.5, 2.0), (1.5, 2.0), None)
    assert -0.01 < first[2] <= 0
    assert [found[:2] for found in locate("b", ["five"])] == [(0.75, 1.0)]


def test_a_recognizer_that_cannot_locate_is_named(here):
    make_manifest("a")
    hparams = SimpleNamespace(**{**PARTS, "recognizer": lambda width: object()})
    with pytest.raises(ValueError, match=r"x.yaml: the recognizer object has no locate\(\)"):
        locator(hparams, Records("m.jsonl", Utterance), path="x.yaml")
    with pytest.raises(ValueError, match="x.yaml: names no recognizer to locate with"):
        locator(SimpleNamespace(**{**PARTS, "recognizer": None}), None, path="x.yaml")


def test_a_recognizer_that_reads_chunks_is_told_the_encoders(here, tmp_path):
    folder = make_tiny_whisper(tmp_path / "whisper", decoder=True)
    hparams = SimpleNamespace(recognizer=partial(load_whisper_decoder, path=folder), device="cpu")
    assert build_recognizer(hparams, load_whisper(folder)).chunks.max_frames == 1500
    assert build_recognizer(hparams, load_whisper(folder, chunk_seconds=4)).chunks.max_frames == 200


def test_a_recipe_aligns_with_its_encoder_and_recognizer(tmp_path, whisper_folder, monkeypatch, capsys):
    more = f"recognizer: !name:auralign.models.recognizers.load_ctc\n    path: {tmp_path}\n"
    folder = make_recipe(tmp_path / "r", llm="none", encoder=whisper_folder, more=more)
    # Every frame says "three", else blank: other words take a frame each.
    width = load_whisper(whisper_folder).width
    weights = {"weight": torch.zeros(5, width), "bias": torch.tensor([5.0, 9.0, 0.0, 0.0, 0.0])}
    save_file(weights, tmp_path / "ctc_head.safetensors")
    (tmp_path / "ctc_tokens.json").write_text(json.dumps(["<blank>", "three", "five", "nine", "sort"]))
    monkeypatch.chdir(folder)
    cli.run(["align", "data/test.jsonl", "--recipe", "sift"])
    assert "got word times; 2 without (unknown words: 2), listed in" in capsys.readouterr().out
    first, second, third, fourth = Records("data/test.jsonl", Utterance)
    assert first.words == (("three", 0.0, 0.38), ("five", 0.38, 0.4))  # of 20 frames
    assert [word for word, *_ in second.words] == ["five", "nine", "sort"]
    assert (third.words, fourth.words) == ((), ())
    manifest = Records("data/test.jsonl", Utterance)
    into_tar(Path("data"), manifest)
    cli.run(["align", "data/test.jsonl", "--recipe", "sift", "--force"])
    assert [one.words for one in Records("data/test.jsonl", Utterance)] == [one.words for one in manifest]


def into_tar(folder, manifest):
    """Put the audio of a manifest into a tar file, as stage 1 names it."""
    utterances = list(manifest)
    with tarfile.open(folder / "all.tar", "w") as tar:
        for one in utterances:
            tar.add(folder / one.audio, arcname=Path(one.audio).name)
    inside = {member.name: member.inside for member in tars.members(folder / "all.tar")}
    moved = [replace(one, audio=f"all.tar?{inside[Path(one.audio).name]}", words=()) for one in utterances]
    for one in utterances:
        (folder / one.audio).unlink()
    write_records(manifest.path, moved, kind=Utterance)


def test_a_recognizer_that_cannot_align_is_named(here):
    make_manifest("a")
    hparams = SimpleNamespace(**{**PARTS, "recognizer": lambda width: object()})
    with pytest.raises(ValueError, match=r"x.yaml: the recognizer object has no align\(\)"):
        from_recipe(hparams, Records("m.jsonl", Utterance), path="x.yaml")


MISTAKES = [
    (["--textgrids", "gone"], "no folder gone; give the one that holds the .*TextGrid files"),
    (["--librispeech", "gone"], "no folder gone; give the one that holds the .*alignment.txt files"),
    (["--textgrids", "empty"], "empty: holds no .*TextGrid; give the folder that does"),
    (["--librispeech", "twice"], "twice: holds one chapter twice .twice/a/1-2.alignment.txt, twice/b/"),
    (["--librispeech", "twice/a"], "twice/a/1-2.alignment.txt:1: expected: ID"),
    (["--librispeech", "twice/a", "--tier", "w"], "--tier w: only TextGrids have tiers"),
    (["--recipe", "gone.yaml"], "no gone.yaml here"),
    (["--textgrids", "broken"], r"m.jsonl: 0 of 1 utterances .*\(broken TextGrid: 1\); the first is 1-2-3 "
     r"\(broken/1-2-3.TextGrid:3: .*found the end.*reasons in m.unaligned.jsonl; the manifest is as it was"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "says"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_a_mistake_is_named_and_leaves_the_manifest(here, arguments, says):
    make_manifest("1-2-3")
    before = Path("m.jsonl").read_bytes()
    for folder in ("empty", "twice/a", "twice/b", "broken"):
        Path(folder).mkdir(parents=True)
    for folder in ("a", "b"):
        Path("twice", folder, "1-2.alignment.txt").write_text("1-2-3")
    Path("broken/1-2-3.TextGrid").write_text('"ooTextFile"\n"TextGrid"\n')
    with pytest.raises((ValueError, OSError), match=says):
        align(*arguments)
    assert Path("m.jsonl").read_bytes() == before


def test_a_manifest_that_is_not_there_is_named_and_no_folder_is_made(here):
    with pytest.raises(FileNotFoundError, match="no manifest at data/m.jsonl; write it first"):
        cli.run(["align", "data/m.jsonl", "--textgrids", "grids"])
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("sources", [[], ["--textgrids", "a", "--librispeech", "b"]])
def test_one_source_is_given(here, sources, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run(["align", "m.jsonl", *sources])
    assert stop.value.code == 2
    assert "--textgrids" in capsys.readouterr().err.splitlines()[-1]


def test_a_run_that_was_killed_after_it_had_written_the_manifest_is_given_again(here):
    with Stage("prepare", here, inputs={}, outputs=[here / "m.jsonl"]):
        make_manifest("a")
    make_grid("a")
    write_json(".m.aligning.json", {"before": hash_path("m.jsonl")})
    make_manifest(
        "a", words=WORDS
    )  # as the run left it; the mark of the stage has the hash of the one before
    with pytest.raises(ChangedOutputError):
        Records("m.jsonl", Utterance)
    assert align("--textgrids", "grids") == ({"a": WORDS}, {})
    assert not Path(".m.aligning.json").exists()
    with Stage("prepare", here, inputs={}, outputs=[here / "m.jsonl"]) as stage:
        assert stage.complete
