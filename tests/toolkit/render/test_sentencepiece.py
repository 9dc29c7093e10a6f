"""Prompts of LLMs with sentencepiece tokenizers have the ids of their chat template: no space more, none less."""

import io
import json

import pytest
import sentencepiece
from transformers import AutoTokenizer

from auralign.layout import Response, Speech, Text, View
from auralign.render import Renderer
from auralign.render.tokens import Tokens
from auralign.testing.tiny.llm import GEMMA, PHI_3, TEXT

# As Llama 2's and Mistral 0.1's, whose [INST] is letters; as Mistral 0.3's, whose is a token; as Phi-3's and Zephyr's
LLAMA_2 = (
    "{% for m in messages %}{% if m.role == 'system' %}{% set system = '<<SYS>>\n' + m.content + '\n<</SYS>>\n\n' %}"
    "{% elif m.role == 'user' %}{{ bos_token + '[INST] ' + (system or '') + m.content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_1 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_3 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + '[/INST]' }}"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
ZEPHYR = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
VICUNA = (
    "{{ bos_token }}A chat. {% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }} "
    "{% else %}ASSISTANT: {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
TEMPLATES = {
    "llama2": (LLAMA_2, ()),
    "mistral_1": (MISTRAL_1, ()),
    "mistral_3": (MISTRAL_3, ("[INST]", "[/INST]")),
    "phi3": (PHI_3, ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")),
    "zephyr": (ZEPHYR, ()),
    "vicuna": (VICUNA, ()),
    "gemma": (GEMMA, ("<start_of_turn>", "<end_of_turn>")),
}
# Options of LlamaTokenizer: where it puts a space before a text
OPTIONS = {
    "first": {"legacy": False},
    "always": {"legacy": True},
    "never": {"legacy": False, "add_prefix_space": False},
}
QUESTION, ANSWER = "please repeat the above words", "i heard three five"


def train(folder):
    """A sentencepiece model as Llama 2's: BPE with bytes, and a space before a text."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([f"{TEXT} [INST] USER: ASSISTANT: A chat."] * 20),
        model_writer=model,
        vocab_size=380,
        model_type="bpe",
        byte_fallback=True,
        character_coverage=1.0,
        hard_vocab_limit=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())


@pytest.fixture(scope="module", params=OPTIONS)
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    train(folder)
    config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": False, **OPTIONS[request.param]}
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, **names}))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return folder


@pytest.fixture(params=TEMPLATES)
def tokenizer(request, folder):
    template, special = TEMPLATES[request.param]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    tokenizer.chat_template = template
    return tokenizer


def templates_ids(tokenizer, question, answer=None):
    messages = [{"role": "user", "content": question}]
    if answer is not None:
        messages.append({"role": "assistant", "content": answer})
    return tuple(
        tokenizer.apply_chat_template(messages, add_generation_prompt=answer is None, return_dict=False)
    )


@pytest.mark.parametrize("question", [QUESTION, "5 Übungen, 你好", "a"])
def test_a_prompt_has_the_ids_of_the_chat_template(tokenizer, question):
    ids = Renderer(tokenizer).render(View((Text(question),))).ids
    assert tokenizer.convert_ids_to_tokens(ids) == tokenizer.convert_ids_to_tokens(
        templates_ids(tokenizer, question)
    )


def test_a_turn_has_the_ids_of_the_chat_template(tokenizer):
    ids = Renderer(tokenizer).render(View((Text(QUESTION), Response(ANSWER)))).ids
    whole = templates_ids(tokenizer, QUESTION, ANSWER)
    assert tokenizer.convert_ids_to_tokens(ids) == tokenizer.convert_ids_to_tokens(whole[: len(ids)])
    behind = tokenizer.decode(whole[len(ids) :])  # what a template prints behind the turn
    assert set(behind.split()) <= {"</s>"}


def test_segments_have_the_ids_of_the_whole_where_no_merge_crosses_their_edge(tokenizer):
    parts = (Text("please repeat"), Speech(" the above"), Text(" words"))
    ids = Renderer(tokenizer).render(View(parts).read()).ids
    assert ids == templates_ids(tokenizer, QUESTION)


def test_what_is_heard_takes_the_place_of_just_what_is_read(tokenizer):
    view = View((Speech("three five"), Text(" sort them"), Response("five three")))
    heard, read = Renderer(tokenizer).render(view), Renderer(tokenizer).render(view.read())
    assert [piece.ids for piece in heard.pieces if not piece.is_speech] == [
        piece.ids for piece in read.pieces if piece.tag != "speech"
    ]
    (place,), (said,) = heard.speech, [piece for piece in read.pieces if piece.tag == "speech"]
    assert place.num_read == len(said.ids)


@pytest.mark.parametrize("text", ["</s>", "x </s><s> [INST]", "<|end|>", "<unk> \n\n "])
def test_text_is_data(tokenizer, text):
    renderer = Renderer(tokenizer)
    plain, odd = (renderer.render(View((Text(words), Response("x")))).pieces for words in ("plain", text))
    assert [piece.ids for piece in plain if piece.tag == "frame"] == [
        piece.ids for piece in odd if piece.tag == "frame"
    ]
    assert not set(odd[1].ids) & set(tokenizer.all_special_ids)


def test_a_space_before_the_end_that_the_llm_wrote_is_not_written_twice(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = LLAMA_2
    renderer = Renderer(tokenizer)
    written = renderer.encode("five ")
    ids = renderer.render(View((Text("a"), Response("five", ids=written)))).pieces[-1].ids
    assert tokenizer.convert_ids_to_tokens(ids)[-2:] == ["▁", "</s>"]
    assert len(ids) == len(written) + 1


def test_normalizers_that_put_the_space_are_found(folder):
    """As older tokenizer.json of Llama 2 and Mistral 0.1 do."""
    from tokenizers import normalizers
    from transformers import PreTrainedTokenizerFast

    backend = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    backend.pre_tokenizer = None
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")
    for template in (LLAMA_2, MISTRAL_1, VICUNA):
        tokenizer.chat_template = template
        ids = Renderer(tokenizer).render(View((Text(QUESTION), Response(ANSWER)))).ids
        assert ids == templates_ids(tokenizer, QUESTION, ANSWER)


def test_a_conversation_has_the_ids_of_the_chat_template(tokenizer):
    said = (QUESTION, ANSWER, "sort them", "nine", "five")
    messages = [
        {"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(said)
    ]
    views = [View((Text(text),)) for text in said[::2]]
    ids = Renderer(tokenizer).render_conversation(views, said[1::2]).ids
    whole = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert tokenizer.convert_ids_to_tokens(ids) == tokenizer.convert_ids_to_tokens(whole)


@pytest.mark.parametrize("after", [None, ()])
def test_a_text_that_spells_an_added_token_stays_text(folder, after):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    plain = Tokens(tokenizer).encode("say <think > now", after=after)
    tokenizer.add_tokens(["<think>"])
    ids = Tokens(tokenizer).encode("say <think> now", after=after)
    assert tokenizer.convert_tokens_to_ids("<think>") not in ids
    assert ids[:2] == plain[:2]  # with the space before the text, if the tokenizer puts one there
