"""A prompt without a system prompt has none, also if the LLM's chat template puts one of its own."""

from datetime import date
from pathlib import Path

import pytest

from auralign.layout import DEFAULT, Response, Speech, Text, View
from auralign.models.build import make_renderer
from auralign.render import Renderer
from auralign.testing.tiny.llm import make_tokenizer

PUBLISHED = Path(__file__).parents[2] / "fixtures" / "chat_templates"

# The form of Llama 3.1's and 3.2's: a block with two dates in every conversation.
LLAMA_3_1 = (
    "{{- bos_token }}{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}{%- endif %}"
    "{%- if messages[0]['role'] == 'system' %}{%- set said = messages[0]['content'] | trim %}"
    "{%- set messages = messages[1:] %}{%- else %}{%- set said = '' %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n' }}"
    "{{- 'Today Date: ' + date_string + '\n\n' }}"
    "{{- said + '<|eot_id|>' }}{%- for m in messages %}"
    "{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
LLAMA_3_TOKENS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
# Gemma 3's: the system prompt stands before the first words of the user.
GEMMA_3 = (
    "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{%- set said = messages[0]['content'] + '\n\n' -%}"
    "{%- set messages = messages[1:] -%}{%- else -%}{%- set said = '' -%}{%- endif -%}{%- for m in messages -%}"
    "{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception('roles must alternate') }}{%- endif -%}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + (said if loop.first else '') }}"
    "{{ m['content'] | trim }}{{ '<end_of_turn>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"
)
PHI_4 = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '<|im_sep|>' + m['content'] + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)
# Mistral Small 3's: a long prompt with the date, in tokens of its own.
MISTRAL_SMALL = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% set said = messages[0].content %}{% set messages = messages[1:] %}"
    "{% else %}{% set said = 'You are Mistral. Today is ' + strftime_now('%Y-%m-%d') + '.' %}{% endif %}"
    "{{ '[SYSTEM_PROMPT]' + said + '[/SYSTEM_PROMPT]' }}{% for m in messages %}{% if m.role == 'user' %}"
    "{{ '[INST]' + m.content + '[/INST]' }}{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}"
)
# Llama 2's first: within the user's turn, and not in later ones.
LLAMA_2 = (
    "{% if messages[0].role == 'system' %}{% set said = messages[0].content %}{% set messages = messages[1:] %}"
    "{% else %}{% set said = 'You are honest.' %}{% endif %}{% for m in messages %}{% if m.role == 'user' %}"
    "{{ bos_token + '[INST] ' + ('<<SYS>>\n' + said + '\n<</SYS>>\n\n' if loop.first else '') + m.content + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}"
)
GLM = (  # no block: what precedes the user's turn belongs to the whole text
    "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
VICUNA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ messages[0].content }}{% set messages = messages[1:] %}"
    "{% else %}A chat.{% endif %}{% for m in messages %}{% if m.role == 'user' %}{{ ' USER: ' + m.content }}"
    "{% else %}{{ ' ASSISTANT: ' + m.content + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}"
)
WIZARD = (  # no special token ends a turn
    "{% for m in messages %}{% if loop.first and m.role == 'system' %}{{ m.content + '\n\n### ' }}"
    "{% elif loop.first %}{{ 'Below is an instruction.\n\n### ' }}{% endif %}{% if m.role == 'user' %}"
    "{{ 'Instruction: ' + m.content + '\n\n### ' }}{% elif m.role == 'assistant' %}{{ 'Response: ' + m.content + '\n\n### ' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Response:' }}{% endif %}"
)
CHATML_PROMPT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
LLAMA_3_PROMPT = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
# name: (template, special tokens, the token that begins each text, prompt without a system prompt)
TEMPLATES = {
    "qwen2.5": (None, (), None, CHATML_PROMPT),
    "smollm2": (None, (), None, CHATML_PROMPT),
    "qwen3": (None, ("<think>", "</think>"), None, CHATML_PROMPT),
    "mistral_7b_v0.3": (None, ("<s>", "</s>", "[INST]", "[/INST]"), "<s>", "<s>[INST] {}[/INST]"),
    "phi3_mini": (None, ("<|user|>", "<|assistant|>", "<|end|>"), None, "<|user|>\n{}<|end|>\n<|assistant|>\n"),
    "llama3.1": (LLAMA_3_1, LLAMA_3_TOKENS, "<|begin_of_text|>", LLAMA_3_PROMPT),
    "llama3.3": (LLAMA_3_1.replace("strftime_now is defined", "false"), LLAMA_3_TOKENS, "<|begin_of_text|>", LLAMA_3_PROMPT),
    "gemma3": (
        GEMMA_3,
        ("<bos>", "<start_of_turn>", "<end_of_turn>"),
        "<bos>",
        "<bos><start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n",
    ),
    "phi4": (
        PHI_4,
        ("<|im_sep|>",),
        None,
        "<|im_start|>user<|im_sep|>{}<|im_end|><|im_start|>assistant<|im_sep|>",
    ),
    "mistral_small": (
        MISTRAL_SMALL,
        ("<s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
        "<s>",
        "<s>[INST]{}[/INST]",
    ),
    "llama2": (LLAMA_2, ("<s>",), "<s>", "<s>[INST] {} [/INST]"),
    "glm": (GLM, ("[gMASK]", "<sop>", "<|user|>", "<|assistant|>"), None, "[gMASK]<sop><|user|>\n{}<|assistant|>\n"),
    "vicuna": (VICUNA, ("<s>",), "<s>", "<s> USER: {} ASSISTANT:"),
    "wizard": (WIZARD, (), None, "### Instruction: {}\n\n### Response:"),
}  # fmt: skip
QUESTION, ANSWER = "please repeat the above words", "i heard three five"


def tokenizer_of(name):
    template, special, begin, _ = TEMPLATES[name]
    tokenizer = make_tokenizer(template or (PUBLISHED / f"{name}.jinja").read_text(encoding="utf-8"))
    tokenizer.add_special_tokens(
        {"additional_special_tokens": list(special)}, replace_extra_special_tokens=False
    )
    if begin is not None:
        tokenizer.bos_token = begin
    return tokenizer


def ids_of(tokenizer, text):
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prompt_without_a_system_prompt_has_the_ids_of_the_users_turn_alone(name):
    tokenizer = tokenizer_of(name)
    before, _, between = TEMPLATES[name][3].partition("{}")
    frame = Renderer(tokenizer).chat_frame(None)
    assert (tokenizer.decode(frame.before), tokenizer.decode(frame.between)) == (before, between)
    assert (frame.before, frame.between) == (ids_of(tokenizer, before), ids_of(tokenizer, between))


@pytest.mark.parametrize("name", TEMPLATES)
def test_it_changes_nothing_but_the_block(name):
    tokenizer = tokenizer_of(name)
    renderer = Renderer(tokenizer, date="2026-03-01")
    own, bare = renderer.chat_frame(DEFAULT), renderer.chat_frame(None)
    assert (own.between, own.end, own.lead) == (bare.between, bare.end, bare.lead)
    size = len(own.before) - len(bare.before)
    cuts = (own.before[:start] + own.before[start + size :] for start in range(len(bare.before) + 1))
    assert bare.before in cuts


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_user_and_the_assistant_are_those_of_the_templates_own_conversation(name):
    tokenizer = tokenizer_of(name)
    turns = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    whole = tokenizer.apply_chat_template([*turns, *turns], tokenize=False)
    rendered = Renderer(tokenizer).render(View((Text(QUESTION), Response(ANSWER)), system=None))
    turn = tokenizer.decode(rendered.ids).removeprefix(TEMPLATES[name][2] or "").removeprefix("[gMASK]<sop>")
    assert whole.count(QUESTION) == 2
    assert (
        turn.removesuffix("<|im_end|>") in whole
    )  # which ends the turns of those that have no end of their own


@pytest.mark.parametrize("name", ["qwen2.5", "smollm2", "llama3.1"])
def test_generation_reads_a_prefix_of_what_is_trained_and_speech_fills_the_place_of_text(name):
    renderer = Renderer(tokenizer_of(name))
    view = View((Speech(QUESTION), Response(ANSWER)), system=None)
    prompt = renderer.render(view.read().before_target()).ids
    assert renderer.render(view.read()).ids[: len(prompt)] == prompt
    heard, read = (
        [piece.ids for piece in renderer.render(one).pieces if piece.tag == "frame"]
        for one in (view, view.read())
    )
    assert heard == read


def test_no_system_prompt_may_be_the_recipes_default_too():
    tokenizer = tokenizer_of("qwen2.5")
    assert Renderer(tokenizer, system=None).chat_frame() == Renderer(tokenizer).chat_frame(None)


def test_a_system_prompt_of_the_recipe_leaves_the_bare_prompt_as_it_is():
    tokenizer = tokenizer_of("smollm2")
    renderer = Renderer(tokenizer, system="be brief")
    assert "be brief" in tokenizer.decode(renderer.chat_frame().before)
    assert renderer.chat_frame(None) == Renderer(tokenizer).chat_frame(None)


# Hashes of the frames at commit 8776ca8, which refused a prompt without a system prompt for some of these templates
EARLIER = {
    "qwen2.5": "cf78582358dbcb56",
    "smollm2": "f46907cb3a0535a5",
    "qwen3": "31151f03509d5cf6",
    "mistral_7b_v0.3": "93ff22fc3364139f",
    "phi3_mini": "48bf9ad3e4e800dd",
    "llama3.1": "f1d39fb971442ac2",
    "llama3.3": "9d297ee4c469b31c",
    "gemma3": "4f8de3f6d82313b0",
    "phi4": "cd2cf3624129dda2",
    "mistral_small": "4ff24a318f2d7bb7",
    "llama2": "7c3874459c29ca87",
    "glm": "3f003b3906119e50",
    "vicuna": "73277db319c27864",
    "wizard": "18c294d375c2e9aa",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_an_earlier_auralign_made_is_still_rendered_as_it_was(name):
    tokenizer = tokenizer_of(name)
    before = Renderer(tokenizer, date="2026-03-01").keeping_system()
    llm = FakeLLM(tokenizer)
    renderer = make_renderer(
        llm, "default", {}, prompts={"date": "2026-03-01", "frame_hash": before.frame_hash}
    )
    assert renderer.frame_hash == before.frame_hash == EARLIER[name]
    if name == "llama3.1":
        assert "01 Mar 2026" in tokenizer.decode(renderer.chat_frame(None).before)


class FakeLLM:
    """What `make_renderer` reads of an LLM."""

    stop_ids = ()

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer


def test_a_date_that_was_not_recorded_is_found_for_an_earlier_auralign():
    tokenizer = tokenizer_of("llama3.1")
    before = Renderer(tokenizer, date=date.today().isoformat()).keeping_system()
    renderer = make_renderer(FakeLLM(tokenizer), "default", {}, prompts={"frame_hash": before.frame_hash})
    assert renderer.chat_frame(None) == before.chat_frame(None)


UNCLEAR = (  # the user's turn after the block is not like any other
    "{% if messages[0].role == 'system' %}{% set said = messages[0].content %}{% set messages = messages[1:] %}{% else %}"
    "{% set said = 'You are helpful.' %}{% endif %}{% for m in messages %}{% if m.role == 'assistant' %}"
    "<|im_start|>assistant\n{{ m.content }}<|im_end|>\n{% elif loop.first %}<|im_start|>system\n{{ said }}\n"
    "The user begins: {{ m.content }}<|im_end|>\n{% else %}<|im_start|>user\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_a_template_that_cannot_do_without_says_so():
    renderer = Renderer(make_tokenizer(UNCLEAR))
    with pytest.raises(
        ValueError, match="puts its own system prompt .* cannot be cut out: .*; give the LLM a chat_template"
    ):
        renderer.chat_frame(None)
    assert "You are helpful." in renderer.tokenizer.decode(renderer.chat_frame().before)
    assert renderer.frame_hash


@pytest.mark.parametrize(
    ("template", "system", "says"),
    [
        (
            "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + GLM,
            "Be brief.",
            r"refuses the system prompt 'Be brief.' \(no system role\); use system_prompt: null",
        ),
        ("{{ messages[0].content.of.no.text }}", DEFAULT, "refuses a conversation of one turn .*'of'.*give the LLM"),
        ("{% for m in messages %}", DEFAULT, "refuses a conversation of one turn .*give the LLM a chat_template"),
    ],
)  # fmt: skip
def test_what_a_template_refuses_is_one_clear_error(template, system, says):
    with pytest.raises(ValueError, match=says):
        Renderer(make_tokenizer(template)).chat_frame(system)
