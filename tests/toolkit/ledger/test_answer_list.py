"""The answers as the page's script reads them."""

import json
from dataclasses import replace

import pytest

from auralign.ledger import answer_list
from auralign.ledger.answer_list import link_audio, list_answers
from auralign.ledger.build import judge_answers, read_methods
from auralign.records import Records, Utterance, write_records


def judged(corpus, said="one two", **utterance):
    """Answers of two methods; every utterance says `said`."""
    found = Utterance("x", "x.wav", 1.0, said, **utterance)
    changed = [replace(found, id=utt_id) for utt_id in dict.fromkeys(q.utt_id for q in corpus.asked)]
    write_records(corpus.folder / "test.jsonl", changed, kind=Utterance)
    corpus.manifest = Records(corpus.folder / "test.jsonl", Utterance)
    read = {kind: corpus.answers(kind, "11111111") for kind in ("text", "transcript")}
    methods = {
        "far": corpus.method("far", "1ttw11tt", "1-------"),
        "near": corpus.method("near", "111w1111", "1-------"),
    }
    return judge_answers(read_methods(corpus.questions, corpus.manifest, read, methods), corpus.judge)


def listed(corpus, **utterance):
    found = list_answers(judged(corpus, **utterance), corpus.manifest, corpus.folder / "exp")
    return json.loads(found.json)


def test_text_cascade_and_speech_of_all_methods_are_side_by_side(corpus):
    found = listed(corpus)
    assert (found["methods"], found["kinds"]) == (["far", "near"], ["text", "cascade"])
    row = found["rows"][1]
    assert found["utterances"][row["utterance"]]["id"] == "b"
    assert (row["read"], row["scores"]) == (["right b", "right b"], [1, 1])
    assert [(side["speech"], side["class"], side["floor"]) for side in row["heard"]] == [
        ("t", "transcribed", "-"),
        ("right b", "right", "-"),
    ]


def test_what_was_said_cannot_end_the_script_element(corpus):
    said = "</script><script>alert(1)</script> <!-- & \u2028 مرحبا 🎉"
    found = list_answers(judged(corpus, said=said), corpus.manifest, corpus.folder)
    assert not {"<", ">", "&", "\u2028"} & set(found.json)
    assert json.loads(found.json)["utterances"][0]["said"] == said


def test_a_list_of_too_many_questions_is_thinned_out_evenly_and_says_so(corpus, monkeypatch):
    monkeypatch.setattr(answer_list, "MAX_QUESTIONS", 4)
    found = list_answers(judged(corpus), corpus.manifest, corpus.folder)
    assert len(json.loads(found.json)["rows"]) == 4
    assert "The list has 4 of 8 questions" in found.note


def test_a_list_of_all_questions_needs_no_note(corpus):
    assert list_answers(judged(corpus), corpus.manifest, corpus.folder).note == ""


def test_people_choose_by_single_values_of_attributes(corpus):
    found = listed(corpus, speaker="s1", attributes={"gender": "female", "noise": ["a", "b"], "snr": 5})
    assert found["utterances"][0]["speaker"] == "s1"
    assert found["utterances"][0]["attributes"] == {"gender": "female", "snr": "5"}


def test_audio_is_linked_from_the_folder_of_the_report(tmp_path):
    (tmp_path / "data" / "my clips").mkdir(parents=True)
    (tmp_path / "data" / "my clips" / "a#1.wav").write_bytes(b"")
    utterance = Utterance("a", "my clips/a#1.wav", 1.5, "x", start=2.0)
    manifest = tmp_path / "data" / "test.jsonl"
    assert link_audio(utterance, manifest, tmp_path / "exp" / "ledger") == (
        "../../data/my%20clips/a%231.wav",
        "",
    )
    part, _ = link_audio(utterance, manifest, tmp_path / "exp" / "ledger", is_part=True)
    assert part.endswith("a%231.wav#t=2,3.5")


def test_absent_audio_is_said_and_not_linked(tmp_path):
    assert link_audio(Utterance("a", "gone.wav", 1.0, "x"), tmp_path / "test.jsonl", tmp_path) == (
        "",
        "The audio file is absent: gone.wav",
    )


@pytest.mark.parametrize(("start", "shared", "ends"), [(0.0, False, "x.wav"), (0.5, False, "#t=0.5,1.5")])
def test_only_a_part_of_a_file_is_played_as_a_part(corpus, start, shared, ends):
    (corpus.folder / "exp").mkdir()
    for utt_id in "abcd":
        (corpus.folder / f"{utt_id}.wav").write_bytes(b"")
    columns = judged(corpus)
    utterances = [Utterance(utt_id, f"{utt_id}.wav", 1.0, "x", start=start) for utt_id in "abcd"]
    write_records(corpus.folder / "test.jsonl", utterances, kind=Utterance)
    found = list_answers(columns, Records(corpus.folder / "test.jsonl", Utterance), corpus.folder / "exp")
    assert json.loads(found.json)["utterances"][0]["audio"].endswith(ends.replace("x.wav", "a.wav"))
