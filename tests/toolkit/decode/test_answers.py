"""Decoding: batched equals one by one, each input gives what it should, interruptions change nothing."""

import numpy as np
import pytest
import torch

from auralign.data.frames import BranchFrames, LiveFrames
from auralign.decode.answers import Decoder, shuffle_partners
from auralign.models.build import build_model, check_parts
from auralign.models.llm import Decoding
from auralign.plugins import load_method
from auralign.recipe import load_recipe
from auralign.records import Hypothesis, Question, Records, Utterance, read_about, write_records
from hearing import hear
from recipe import LORA, make_recipe


@pytest.fixture(scope="module")
def parts(llm_folder, whisper_folder, tmp_path_factory):
    folder = make_recipe(tmp_path_factory.mktemp("decode") / "r", llm=llm_folder, encoder=whisper_folder)
    model, renderer = build_model(load_recipe(folder / "hparams" / "sift.yaml"))
    return folder, model, renderer


def decode(parts, path, given, batch_size=4, questions=None, **options):
    folder, model, renderer = parts
    manifest = Records(folder / "data" / "test.jsonl", Utterance)
    decoder = Decoder(
        model,
        renderer,
        manifest,
        BranchFrames({"speech": LiveFrames(model.encoder, manifest)}),
        method=load_method("sift"),
        decoding=Decoding(8),
        batch_size=batch_size,
        **options,
    )
    questions = questions or Records(folder / "data" / "test.questions.jsonl", Question)
    decoder.write(questions, path, given=given)
    return [hypothesis.text for hypothesis in Records(path, Hypothesis)]


@pytest.mark.parametrize("given", ["speech", "shuffled", "text"])
def test_batched_equals_one_by_one(parts, tmp_path, given):
    assert decode(parts, tmp_path / "a.jsonl", given) == decode(
        parts, tmp_path / "b.jsonl", given, batch_size=1
    )


def test_each_question_is_answered_alone_where_that_is_asked(parts, tmp_path, monkeypatch):
    _, model, _ = parts
    sizes, answer = [], model.answer
    monkeypatch.setattr(
        model,
        "answer",
        lambda prompts, *rest, **options: sizes.append(len(prompts)) or answer(prompts, *rest, **options),
    )
    monkeypatch.setattr(model.llm, "batch_invariant", True)
    decode(parts, tmp_path / "a.jsonl", "speech")
    assert sizes == [1, 1, 1, 1]


def test_text_input_is_the_llms_answer_to_the_transcript(parts, tmp_path):
    folder, model, renderer = parts
    answers = decode(parts, tmp_path / "a.jsonl", "text")
    text = Records(folder / "data" / "test.jsonl", Utterance)["test-0"].text
    ids = [
        *renderer.chat_frame().before,
        *renderer.encode("repeat "),
        *renderer.encode(text),
        *renderer.chat_frame().between,
    ]
    (expected,) = model.llm.generate([model.llm.embed(ids)], decoding=Decoding(8), stop_ids=renderer.stop_ids)
    assert answers[0] == renderer.read(expected.ids).text


def test_transcript_input_reads_what_the_recognizer_wrote(parts, tmp_path):
    class Deaf:
        def transcribe(self, frames, lengths):
            return ["nine"] * len(lengths)

    decode(parts, tmp_path / "a.jsonl", "transcript", recognizer=Deaf())
    assert {hypothesis.transcript for hypothesis in Records(tmp_path / "a.jsonl", Hypothesis)} == {"nine"}


def test_an_utterance_is_transcribed_once_however_much_is_asked_about_it(parts, tmp_path):
    class Counting:
        num_read = 0

        def transcribe(self, frames, lengths):
            self.num_read += len(lengths)
            return ["nine"] * len(lengths)

    asked = [Question(f"q{n}", f"test-{n % 2}", "g", "t", "{speech}", "x") for n in range(6)]
    write_records(tmp_path / "questions.jsonl", asked, kind=Question)
    options = {"recognizer": Counting(), "questions": Records(tmp_path / "questions.jsonl", Question)}
    decode(parts, tmp_path / "a.jsonl", "transcript", batch_size=3, **options)
    assert options["recognizer"].num_read == 2


@pytest.mark.parametrize("given", ["speech", "shuffled"])
def test_an_utterance_is_encoded_once_however_much_is_asked_about_it(parts, tmp_path, given):
    """Questions about two utterances take turns, and a batch ends between those about one."""
    _, model, _ = parts
    heard, encode = [], model.encoder.forward
    asked = [Question(f"q{n}", f"test-{n % 2}", "g", "t", "{speech}", "x") for n in range(10)]
    write_records(tmp_path / "questions.jsonl", asked, kind=Question)
    questions = Records(tmp_path / "questions.jsonl", Question)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            model.encoder,
            "forward",
            lambda waveforms, *rest: heard.extend(map(len, waveforms)) or encode(waveforms, *rest),
        )
        together = decode(parts, tmp_path / "a.jsonl", given, batch_size=3, questions=questions)
    assert len(heard) == 2
    assert together == decode(parts, tmp_path / "b.jsonl", given, batch_size=1, questions=questions)


def test_a_recognizer_with_an_encoder_hears_by_that(parts, tmp_path):
    class Ears:
        def __call__(self, waveforms):
            return torch.zeros(len(waveforms), 5, 1), torch.tensor([len(waveform) for waveform in waveforms])

    class Measuring:
        encoder = Ears()

        def transcribe(self, frames, lengths):
            assert frames.shape[1:] == (5, 1)
            return [str(length) for length in lengths.tolist()]

    decode(parts, tmp_path / "a.jsonl", "transcript", recognizer=Measuring())
    manifest = Records(parts[0] / "data" / "test.jsonl", Utterance)
    for hypothesis in Records(tmp_path / "a.jsonl", Hypothesis):
        assert hypothesis.transcript == str(round(manifest[hypothesis.utt_id].seconds * 16_000))


def test_transcript_input_needs_a_recognizer(parts, tmp_path):
    with pytest.raises(ValueError, match="needs a recognizer"):
        decode(parts, tmp_path / "a.jsonl", "transcript")


def test_unknown_input_is_refused(parts, tmp_path):
    with pytest.raises(ValueError, match="input 'noise'"):
        decode(parts, tmp_path / "a.jsonl", "noise")


def test_interrupted_equals_uninterrupted(parts, tmp_path, monkeypatch):
    whole = decode(parts, tmp_path / "whole.jsonl", "speech", batch_size=1)
    real, calls = Decoder._answer, []

    def break_off(self, *arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(Decoder, "_answer", break_off)
    with pytest.raises(KeyboardInterrupt):
        decode(parts, tmp_path / "resumed.jsonl", "speech", batch_size=1)
    assert decode(parts, tmp_path / "resumed.jsonl", "speech", batch_size=1) == whole
    assert len(calls) == 3 + 2


def test_shuffled_speech_is_another_utterance_with_another_text(tmp_path):
    texts = ["a", "a", "b", "c", "b", "d"]
    write_records(
        tmp_path / "m.jsonl",
        [Utterance(id=str(n), audio="x", seconds=1.0, text=text) for n, text in enumerate(texts)],
        kind=Utterance,
    )
    manifest = Records(tmp_path / "m.jsonl", Utterance)
    for seed in range(20):
        partners = shuffle_partners(manifest, seed)
        assert all(texts[partner] != text for partner, text in zip(partners, texts, strict=True))


def test_shuffling_needs_two_texts(tmp_path):
    write_records(
        tmp_path / "m.jsonl",
        [Utterance(id=str(n), audio="x", seconds=1.0, text="same") for n in range(3)],
        kind=Utterance,
    )
    with pytest.raises(ValueError, match="all utterances have the same text"):
        shuffle_partners(Records(tmp_path / "m.jsonl", Utterance), 0)


def test_checkpoint_of_another_llm_is_refused():
    old, new = ({"trained_with": {"llm": revision}} for revision in ("old", "new"))
    with pytest.raises(ValueError, match="step_1: trained with llm 'old', the recipe builds 'new'"):
        check_parts(old, new, checkpoint="step_1")


def test_connector_output_alone_equals_in_a_batch(parts):
    folder, model, _ = parts
    manifest = Records(folder / "data" / "test.jsonl", Utterance)
    live = LiveFrames(model.encoder, manifest)
    with torch.no_grad():
        together = hear(model, *live.get([0, 1, 2, 3]))
        for row in range(4):
            torch.testing.assert_close(together[row], hear(model, *live.get([row]))[0], rtol=0, atol=1e-5)
    assert len({len(heard) for heard in together}) > 1
    assert np.isfinite(together[0].numpy()).all()


def test_a_question_about_speech_too_long_for_the_encoder_stops_decoding(parts, tmp_path):
    from dataclasses import replace

    folder, model, renderer = parts
    utterances = list(Records(folder / "data" / "test.jsonl", Utterance))
    write_records(
        tmp_path / "long.jsonl", [replace(utterances[0], seconds=31.0), *utterances[1:]], kind=Utterance
    )
    decoder = Decoder(
        model,
        renderer,
        Records(tmp_path / "long.jsonl", Utterance),
        None,
        method=load_method("sift"),
        decoding=Decoding(8),
        batch_size=4,
    )
    with pytest.raises(
        ValueError, match="1 test utterances .* too long; test-0 lasts 31.00 s.*chunk_seconds: 30"
    ):
        decoder.write(
            Records(folder / "data" / "test.questions.jsonl", Question), tmp_path / "a.jsonl", given="speech"
        )


def test_from_text_the_plain_llm_answers(parts, tmp_path, llm_folder, whisper_folder):
    plain = decode(parts, tmp_path / "plain.jsonl", "text")
    folder = make_recipe(tmp_path / "r", llm=llm_folder, encoder=whisper_folder, more=LORA)
    model, renderer = build_model(load_recipe(folder / "hparams" / "sift.yaml"))
    for parameter in model.llm.lora.parameters():
        parameter.data.normal_()
    adapted = (folder, model, renderer)
    assert decode(adapted, tmp_path / "adapted.jsonl", "text") == plain
    assert decode(adapted, tmp_path / "heard.jsonl", "speech") != decode(
        parts, tmp_path / "s.jsonl", "speech"
    )
    assert decode(adapted, tmp_path / "trained.jsonl", "text_trained") != plain
    assert decode(parts, tmp_path / "untrained.jsonl", "text_trained") == plain


def test_answers_of_another_build_say_so_each_and_in_their_file(parts, tmp_path, monkeypatch):
    _, model, _ = parts
    decode(parts, tmp_path / "a.jsonl", "speech")
    assert {hypothesis.other_build for hypothesis in Records(tmp_path / "a.jsonl", Hypothesis)} == {""}
    found = {"trained_with": "a-b", "used": "a-c", "embeddings": 0.01, "told": "another build of the LLM"}
    monkeypatch.setattr(model, "other_builds", {"llm": found})
    decode(parts, tmp_path / "b.jsonl", "speech")
    assert {hypothesis.other_build for hypothesis in Records(tmp_path / "b.jsonl", Hypothesis)} == {"a-c"}
    assert read_about(tmp_path / "b.jsonl", Hypothesis)[0]["other_builds"] == {"llm": found}
