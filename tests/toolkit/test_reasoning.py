"""Of an answer its text alone is taught and shown: no reasoning, in whatever form an LLM marks it, and no special token."""

import pytest

from auralign.reasoning import Reasoning, find_pairs
from auralign.render import Renderer
from auralign.testing.tiny.llm import CHATML, make_tokenizer

HEAD = "{% for m in messages %}<|im_start|>{{ m.role }}\n"
TAIL = "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
FIELD = "{% if m.reasoning_content is defined %}OPEN{{ m.reasoning_content }}CLOSE{% endif %}{{ m.content }}"


def fielded(opener, closer):
    """A template that prints a message's reasoning between two marks."""
    return HEAD + FIELD.replace("OPEN", opener).replace("CLOSE", closer) + TAIL + "{% endif %}"


def stripping(closer, *, opened=""):
    """A template that only takes the reasoning out of past answers, and may open it in the prompt."""
    content = f"{{{{ m.content.split('{closer}')[-1] }}}}"
    return HEAD + content + TAIL + opened + "{% endif %}"


HARMONY = (
    "{% for m in messages %}{% if m.role == 'assistant' %}"
    "{% if m.thinking is defined %}<|start|>assistant<|channel|>analysis<|message|>{{ m.thinking }}<|end|>{% endif %}"
    "<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|return|>"
    "{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
HARMONY_TOKENS = ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>")
PARTS = HEAD + (
    "{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}{% if part.type == 'thinking' %}"
    "[THINK]{{ part.thinking }}[/THINK]{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
    + TAIL
    + "{% endif %}"
)
BLOCKS = HEAD + (
    "{% if m.content is string %}{{ m.content }}{% else %}{% for b in m.content.blocks %}{% if b.type == 'thoughts' %}"
    "<|inner_prefix|>{{ b.text }}<|inner_suffix|>{% else %}{{ b.text }}{% endif %}{% endfor %}{% endif %}"
    + TAIL
    + "{% endif %}"
)
TURNS = (
    "{% for m in messages %}<|begin|>{{ m.role }}{% if m.reasoning is defined %}<|think|>{{ m.reasoning }}<|end|><|begin|>"
    "assistant{% endif %}<|content|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|begin|>assistant{% endif %}"
)

# name: template, special tokens, other added tokens, what the LLM writes after the prompt
FORMS = {
    "qwen3": (
        fielded("<think>\n", "\n</think>\n\n"),
        (),
        ("<think>", "</think>"),
        "<think>\nhm\n</think>\n\nfive",
    ),
    "deepseek_r1": (
        stripping("</think>", opened="<think>\n"),
        (),
        ("<think>", "</think>"),
        "hm\n</think>\n\nfive",
    ),
    "r1_in_letters": (stripping("</think>", opened="<think>\n"), (), (), "hm\n</think>\n\nfive"),
    "seed_oss": (
        fielded("<seed:think>", "</seed:think>"),
        ("<seed:think>", "</seed:think>"),
        (),
        "<seed:think>hm</seed:think>five",
    ),
    "magistral": (PARTS, ("[THINK]", "[/THINK]"), (), "[THINK]hm[/THINK]five"),
    "apertus": (
        BLOCKS,
        ("<|inner_prefix|>", "<|inner_suffix|>"),
        (),
        "<|inner_prefix|>hm<|inner_suffix|>five",
    ),
    "tokens_alone": (
        CHATML,
        ("<|inner_prefix|>", "<|inner_suffix|>"),
        (),
        "<|inner_prefix|>hm<|inner_suffix|>five",
    ),
    "cohere": (
        fielded("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
        ("<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>"),
        (),
        "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>five<|END_RESPONSE|>",
    ),
    "medgemma": (CHATML, (), ("<unused94>", "<unused95>"), "<unused94>thought\nhm<unused95>five"),
    "gemma4": (CHATML, ("<|channel>", "<channel|>"), (), "<|channel>thought\nhm<channel|>five"),
    "openthinker": (
        stripping("<|end_of_thought|>"),
        (),
        (),
        "<|begin_of_thought|>\n\nhm\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\nfive\n\n<|end_of_solution|>",
    ),
    "kimi": (stripping("◁/think▷"), (), ("◁think▷", "◁/think▷"), "◁think▷hm◁/think▷five"),
    "kimi_opened": (stripping("◁/think▷", opened="◁think▷"), (), (), "hm◁/think▷five"),
    "bars": (
        fielded("<|think|>", "<|/think|>"),
        ("<|think|>", "<|/think|>"),
        (),
        "<|think|>hm<|/think|>five",
    ),
    "turns": (
        TURNS,
        ("<|begin|>", "<|think|>", "<|end|>", "<|content|>"),
        (),
        "<|think|>hm<|end|><|begin|>assistant<|content|>five<|end|>",
    ),
    "granite": (
        stripping("Here is my response:") + "{# Here is my thought process: #}",
        (),
        (),
        "Here is my thought process: hm\nHere is my response: five",
    ),
    "hunyuan": (stripping("</think>"), (), (), "<think>\nhm\n</think>\n<answer>\nfive\n</answer>"),
    "reasoning": (CHATML, (), (), "<reasoning>\nhm\n</reasoning>\nfive"),
    "thinking": (CHATML, (), (), "<thinking>hm</thinking>five"),
    "harmony": (
        HARMONY,
        HARMONY_TOKENS,
        (),
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>five",
    ),
    "harmony_twice": (
        HARMONY,
        HARMONY_TOKENS,
        (),
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>analysis<|message|>so<|end|>"
        "<|start|>assistant<|channel|>final<|message|>five",
    ),
    "unknown": (
        fielded("<|secret|>", "<|said|>"),
        ("<|secret|>", "<|said|>"),
        (),
        "<|secret|>hm<|said|>five",
    ),
    "in_turns": (
        fielded("<|open|>muse<|sep|>", "<|close|>muse<|sep|>"),
        ("<|open|>", "<|sep|>", "<|close|>"),
        (),
        "<|open|>muse<|sep|>hm<|close|>muse<|sep|>five",
    ),
}


def make(template, special=(), added=()):
    tokenizer = make_tokenizer(template)
    tokenizer.add_special_tokens(
        {"additional_special_tokens": list(special)}, replace_extra_special_tokens=False
    )
    tokenizer.add_tokens(list(added))
    return tokenizer


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.fixture(params=FORMS)
def form(request):
    template, special, added, answer = FORMS[request.param]
    tokenizer = make(template, special, added)
    return tokenizer, Renderer(tokenizer), answer


def test_reasoning_of_every_form_is_stripped(form):
    tokenizer, renderer, answer = form
    reading = renderer.read(ids_of(tokenizer, answer))
    assert (reading.text, reading.thought, reading.reason, reading.ids) == ("five", True, None, None)


def test_reasoning_of_every_form_is_stripped_from_text_alone(form):
    _, renderer, answer = form
    assert renderer.read(answer).text == "five"


def test_reasoning_that_never_ends_is_no_answer(form):
    tokenizer, renderer, answer = form
    reading = renderer.read(ids_of(tokenizer, answer[: answer.index("hm") + 2]))
    assert (reading.text, reading.thought, reading.reason) == ("", True, "reasoning without end")


def test_an_answer_without_reasoning_is_what_the_llm_wrote(form):
    tokenizer, renderer, _ = form
    ids = tuple(ids_of(tokenizer, "i heard five"))
    reading = renderer.read(ids)
    if renderer.reasoning.opened:  # by the prompt: without its end all is reasoning
        assert (reading.text, reading.thought, reading.reason) == ("", True, "reasoning without end")
        return
    assert (reading.text, reading.thought, reading.reason, reading.ids) == ("i heard five", False, None, ids)


def test_what_the_prompt_opens_is_seen():
    opened = {name: Renderer(make(*form[:3])).reasoning.opened for name, form in FORMS.items()}
    assert {name for name, is_open in opened.items() if is_open} == {
        "deepseek_r1",
        "r1_in_letters",
        "kimi_opened",
    }


def test_reasoning_switched_off_in_the_prompt_is_not_open():
    tokenizer = make_tokenizer(kind="qwen3")
    renderer = Renderer(tokenizer, template_options={"enable_thinking": False})
    assert renderer.read(ids_of(tokenizer, "five")).text == "five"


def test_tags_in_the_middle_of_an_answer_are_no_reasoning_unless_declared():
    assert Reasoning().split("the <analysis> tag") == ("the <analysis> tag", False, True)
    assert Reasoning(find_pairs("<analysis>")).split("the <analysis> tag") == ("the", True, False)


def test_a_special_token_written_in_letters_is_text():
    tokenizer = make(HARMONY, HARMONY_TOKENS)
    renderer = Renderer(tokenizer)
    letters = renderer.encode("say <|end|> now")
    assert (renderer.read(letters).text, renderer.read(letters).ids) == ("say <|end|> now", letters)


@pytest.mark.parametrize("text", ["a < b", "<b", "1 [A] 2", "x</y> ▷"])
def test_ordinary_brackets_are_text(text):
    tokenizer = make(*FORMS["deepseek_r1"][:3])
    assert Renderer(make_tokenizer()).read(ids_of(tokenizer, text)).text == text


@pytest.mark.parametrize("step", range(1, 12))
def test_what_is_sure_is_never_taken_back(step):
    whole = "so <think>hm</think>five"
    reasoning = Reasoning()
    assert "so five".startswith(reasoning.sure(reasoning.split(whole[:step])[0]))
