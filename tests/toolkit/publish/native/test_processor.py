"""The processor of an exported model gives the ids of training, or the export says which token or class is in the way."""

import datetime

import pytest
import torch
import transformers
from transformers import AutoProcessor, AutoTokenizer

from auralign.publish.native import processor as made
from auralign.publish.native.architectures import ARCHITECTURES
from auralign.render import Renderer
from auralign.testing.tiny.llm import CHATML, CHATML_WITH_DEFAULT, make_tokenizer

DATED = "{%- set day = strftime_now('%-d/%m/%Y') %}<|im_start|>system\n{{ day }}<|im_end|>\n" + CHATML
AUDIO = "<sound>"
SPEECH = [["speech", "speech", 0.0, 1.0]]


@pytest.mark.parametrize(("name", "kind"), [("audioflamingo3", "llama3"), ("qwen2_audio", "qwen2")])
def test_processor_and_class_compute_the_logits_of_the_run(exported, name, kind):
    run = exported(name, kind, seconds=(2.34567,))
    (case,) = run.cases
    processor = AutoProcessor.from_pretrained(run.folder)
    content = [{"type": "audio", "audio": case.waveform}, {"type": "text", "text": "say it again"}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    native = getattr(transformers, ARCHITECTURES[name].class_name).from_pretrained(
        run.folder, dtype=torch.float32
    )
    audio = native.config.audio_token_id
    assert inputs["input_ids"].tolist() == [[audio if token < 0 else token for token in case.ids]]
    with torch.no_grad():
        found = native.eval()(**inputs).logits[0, :, : case.logits.shape[1]]
    torch.testing.assert_close(found, case.logits, atol=1e-4, rtol=0)


def test_voxtral_has_a_tokenizer_and_no_processor(exported, capsys):
    run = exported("voxtral", seconds=())
    assert (
        "no AutoProcessor: VoxtralProcessor needs the tokenizer of mistral-common" in capsys.readouterr().err
    )
    assert not (run.folder / "processor_config.json").exists()
    tokenizer = AutoTokenizer.from_pretrained(run.folder)
    turn = [{"role": "user", "content": [{"type": "audio"}, {"type": "text", "text": "again"}]}]
    text = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    assert text == "<|im_start|>user\n[AUDIO]\nagain<|im_end|>\n<|im_start|>assistant\n"


def processor_of(renderer, slot=SPEECH):
    tokenizer, _ = made.add_audio_token(renderer.tokenizer, AUDIO)
    template = made.make_template(renderer, slot, AUDIO)
    extractor = transformers.WhisperFeatureExtractor()
    return transformers.AudioFlamingo3Processor(
        extractor, tokenizer, chat_template=template, audio_token=AUDIO
    )


@pytest.mark.parametrize(
    "renderer",
    [
        Renderer(make_tokenizer(), system='Say "yes"\nor no.'),
        Renderer(make_tokenizer(), system="Be brief 😀."),
        Renderer(make_tokenizer(CHATML_WITH_DEFAULT)),
        Renderer(make_tokenizer(kind="qwen3"), template_options={"enable_thinking": False}),
        Renderer(make_tokenizer(DATED), date="2024-02-03"),
        Renderer(make_tokenizer(kind="gemma2"), system=None),
    ],
    ids=[
        "system prompt",
        "letter beyond 16 bits",
        "default of the template",
        "thinking is off",
        "date",
        "no system prompt",
    ],
)
def test_the_template_writes_the_frame_of_training(renderer):
    assert made.find_difference(processor_of(renderer), renderer, SPEECH, AUDIO) is None


def test_what_the_method_writes_around_speech_is_part_of_the_template():
    slot = [["text", 'he said "'], *SPEECH, ["text", '"\n']]
    renderer = Renderer(make_tokenizer())
    processor = processor_of(renderer, slot)
    assert made.find_difference(processor, renderer, slot, AUDIO) is None
    text = processor.apply_chat_template([{"role": "user", "content": [{"type": "audio"}]}], tokenize=False)
    assert text == f'<|im_start|>user\nhe said "{AUDIO}"\n<|im_end|>\n'


def test_the_date_is_that_of_the_run():
    text = made.make_template(Renderer(make_tokenizer(DATED), date="2024-02-03"), SPEECH, AUDIO)
    tokenizer = make_tokenizer(text)
    shown = tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
    assert "\n3/02/2024<" in shown
    assert str(datetime.date.today().year) not in shown


def test_a_tokenizer_that_merges_across_an_edge_is_named():
    # A template that writes a space before the words, which byte-level BPE merges with the first of them.
    template = CHATML.replace("\n{{ message['content']", "\n {{ message['content']")
    renderer = Renderer(make_tokenizer(template))
    problem = made.find_difference(processor_of(renderer), renderer, SPEECH, AUDIO)
    assert "in the prompt 'repeat: {speech}' the tokenizer" in problem
    assert "'Ġrepeat'" in problem


def test_an_image_is_refused():
    processor = processor_of(Renderer(make_tokenizer()))
    with pytest.raises(Exception, match="this model takes text and audio, not image"):
        processor.apply_chat_template([{"role": "user", "content": [{"type": "image"}]}], tokenize=False)


def test_a_text_only_conversation_is_that_of_the_llm():
    processor, plain = processor_of(Renderer(make_tokenizer())), make_tokenizer()
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    assert processor.apply_chat_template(turns, tokenize=False) == plain.apply_chat_template(
        turns, tokenize=False
    )
