"""Documents of which spans are spoken."""

import sys
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from auralign.builders import Espeak, VoiceSpans, build
from auralign.builders.builder import account_path
from auralign.builders.voice import draw_sentences, draw_spans
from auralign.data.rejected import rejected_path
from auralign.files import read_json
from auralign.records import Records, Utterance, write_records

TEXT = "One  two three, four five six. Seven eight! «Nine» ten eleven twelve? thirteen fourteen"


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.95, 1.0])
@pytest.mark.parametrize("num_words", [5, 6, 11, 40, 400])
def test_spans_have_their_length_and_their_share_and_none_starts_where_another_ended(share, num_words):
    for seed in range(20):
        spans = draw_spans(num_words, share, 5, Random(seed))
        assert all(last - first >= 5 for first, last in spans)
        assert sum(last - first for first, last in spans) == max(5, round(share * num_words))
        assert all(before[1] < after[0] for before, after in zip(spans, spans[1:], strict=False))
        assert spans[0][0] >= 0
        assert spans[-1][1] <= num_words


def test_a_document_shorter_than_a_span_has_none():
    assert draw_spans(4, 1.0, 5, Random(1)) == []


def test_neighbouring_sentences_are_one_span():
    assert draw_sentences([(0, 3), (3, 4), (4, 9)], 1.0, Random(1)) == [(0, 9)]
    assert draw_sentences([], 0.5, Random(1)) == []


class Beeps:
    """A voice that says each letter as 10 ms of one level, and nothing for a text that begins with "Seven"."""

    voices = ("low", "high")
    fingerprint = "beeps 1"

    def speak(self, text, *, voice, seed):
        level = 0.0 if text.startswith("Seven") else 0.1 if voice == "low" else 0.2
        return np.full(80 * len(text), level, np.float32), 8_000


@pytest.fixture
def spoken(tmp_path, monkeypatch):
    """Build from texts with the voice Beeps; returns the rows by id, and the manifest's path."""
    monkeypatch.setitem(sys.modules, "my_voice", SimpleNamespace(Beeps=Beeps))

    def make(*texts, name="out", limit=0.9, **options):
        (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
        output = tmp_path / name / "train.jsonl"
        build(
            VoiceSpans(engine="my_voice:Beeps", **options), tmp_path / "texts.txt", output, max_rejected=limit
        )
        return {row.id: row for row in Records(output, Utterance)}, output

    return make


def test_text_and_spans_together_are_the_document_letter_by_letter(spoken):
    rows, output = spoken(TEXT, min_words=2, share=0.5)
    document = rows["texts-0000001"]
    assert (document.audio, document.seconds, document.text) == ("", 0.0, TEXT)
    assert tuple(document.labels["spans"]) == document.others != ()
    for identity, (start, end) in document.labels["spans"].items():
        span = rows[identity]
        assert span.text == TEXT[start:end] == TEXT[start:end].strip()
        assert span.speaker in Beeps.voices
        samples, rate = soundfile.read(output.parent / span.audio)
        assert (rate, len(samples)) == (16_000, 160 * len(span.text))  # 8 kHz became 16
        assert span.seconds == len(samples) / rate
        assert samples[len(samples) // 2] == pytest.approx(0.1 if span.speaker == "low" else 0.2, abs=0.01)


def test_whole_sentences_are_spoken_and_what_has_no_sound_stays_text_and_is_listed(spoken):
    rows, output = spoken(TEXT, spans="sentences", share=1.0)
    assert rows["texts-0000001"].labels["spans"] == {"texts-0000001-01": [0, len(TEXT)]}
    rows, output = spoken("Seven eight! Nine.", "Ten.", name="more", spans="sentences", share=0.6)
    assert "texts-0000002-01" in rows
    assert '"id": "texts-0000001-01", "reason": "no sound"' in rejected_path(output).read_text()
    assert '"id": "texts-0000001", "reason": "no span was spoken"' in rejected_path(output).read_text()


def test_the_account_counts_words(spoken):
    _, output = spoken("a b c d e f g h i j", "too short", min_words=5, share=0.5)
    account = read_json(account_path(output))
    assert account["notes"] == {"words of documents": 10, "words spoken": 5}
    assert account["left out"] == {"fewer than 5 words": 1}


def test_what_the_recogniser_hears_otherwise_stays_text_and_is_listed(spoken, monkeypatch):
    heard = iter(["a b c d e", "x y"])
    monkeypatch.setattr("auralign.builders.voice.open_listener", lambda *_: lambda samples: next(heard))
    monkeypatch.setattr("auralign.builders.voice.describe_listener", lambda folder: folder)
    rows, output = spoken("A b c d e.", "f g h i j", share=1.0, recognizer="some")
    assert sorted(rows) == ["texts-0000001", "texts-0000001-01"]
    assert '"misheard", "detail": "\'f g h i j\' as \'x y\'"' in rejected_path(output).read_text()
    assert not (output.parent / "train" / "texts-0000002-01.flac").exists()


def test_an_id_that_leads_out_of_the_folder_is_refused(tmp_path, spoken):
    write_records(tmp_path / "in.jsonl", [Utterance("../../up", "", 0.0, "a b c d e")], kind=Utterance)
    with pytest.raises(ValueError, match="leads out of the folder"):
        build(VoiceSpans(engine="my_voice:Beeps"), tmp_path / "in.jsonl", tmp_path / "out" / "x.jsonl")
    assert list(tmp_path.rglob("*.flac")) == []


def test_espeak_says_the_same_again():
    pytest.importorskip("espeakng_loader")
    engine = Espeak()
    how = {"voice": engine.voices[0], "seed": 3}
    samples, rate = engine.speak("three five nine", **how)
    assert rate == 16_000
    assert 0.5 < len(samples) / rate < 3
    assert np.array_equal(samples, engine.speak("three five nine", **how)[0])


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (np.full((800, 2), 0.1, np.float32), 8_000),
        (np.full(800, 3000, np.int16), 8_000),
        (np.full(800, 0.1, np.float32), 0),
        (np.full(800, 0.1, np.float32), 8_000.5),
    ],
)
def test_what_a_voice_may_not_give_is_named_with_the_span(spoken, monkeypatch, samples, rate):
    """Samples of two channels became a file of the same seconds, and whole numbers were all at full scale."""
    monkeypatch.setattr(Beeps, "speak", lambda self, text, **how: (samples, rate))
    with pytest.raises(ValueError, match="texts-0000001-01: the voice gave .* it must give floats"):
        spoken("a b c d e")


def test_a_sentence_that_is_missing_is_called_so(spoken):
    _, output = spoken("One two.", "...", spans="sentences")
    listed = rejected_path(output).read_text()
    assert '"id": "texts-0000002-01", "reason": "nothing to speak"' in listed and "fewer than 5" not in listed
