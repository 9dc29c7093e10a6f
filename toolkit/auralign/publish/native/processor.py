"""The processor of an exported model: its audio token, its chat template, and a check that it writes the ids of training.

The template is the LLM's own behind a prelude, which puts the audio token (and what the method writes around it) in place of
speech, the run's system prompt before the conversation, and the run's date where the template prints today's.
"""

import copy
import datetime
import json

from auralign.layout import SLOT, View, fill
from auralign.publish.model_folder import segments_of_slot
from auralign.render.chat_template import CODES, DATED

PROCESSORS = {"audioflamingo3": "AudioFlamingo3Processor", "qwen2_audio": "Qwen2AudioProcessor"}
PROCESSOR_FILE = "processor_config.json"
PROMPTS = (
    "{speech}\nsort the words",
    "repeat: {speech}",
    'Say "{speech}" again.',
)  # with speech first, last and within

PRELUDE = """\
{%- set turns = namespace(messages=%(system)s if messages[0].role != 'system' else []) -%}
{%- for message in messages -%}
{%- if message.content is string -%}
{%- set turns.messages = turns.messages + [message] -%}
{%- else -%}
{%- set turn = namespace(text='') -%}
{%- for part in message.content -%}
{%- if part.type in ('audio', 'audio_url') -%}
{%- set turn.text = turn.text + %(speech)s -%}
{%- elif part.type == 'text' -%}
{%- if loop.index0 == 1 and message.content[0].type != 'text' and part.text[:1] | trim -%}
{%- set turn.text = turn.text + '\\n' -%}
{%- endif -%}
{%- set turn.text = turn.text + part.text -%}
{%- else -%}
{{- raise_exception('this model takes text and audio, not ' ~ part.type) -}}
{%- endif -%}
{%- endfor -%}
{%- set turns.messages = turns.messages + [{'role': message.role, 'content': turn.text}] -%}
{%- endif -%}
{%- endfor -%}
{%- set messages = turns.messages +%}"""


def add_audio_token(tokenizer, token: str):
    """A copy of a tokenizer that knows the audio token, and its id."""
    from tokenizers import AddedToken

    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False)], special_tokens=True)
    return tokenizer, tokenizer.convert_tokens_to_ids(token)


def make_template(renderer, slot: list, token: str) -> str:
    """The chat template of an exported model, which takes audio among the parts of a message.

    A text that follows audio at the beginning of a turn gets a line break before it, as in `auralign ask`, unless it begins with
    white space.

    Arguments
    ---------
    renderer : Renderer
        Of the run's prompts.
    slot : list
        What replaces `{speech}`, as of `auralign.publish.model_folder.account_of_slot`.
    token : str
        The audio token.
    """
    source = renderer.tokenizer.get_chat_template()
    system = renderer.system if isinstance(renderer.system, str) else None
    speech = "".join(token if kind == "speech" else value for kind, value, *_ in slot)
    values = {
        "system": _literal([] if system is None else [{"role": "system", "content": system}]),
        "speech": _literal(speech),
    }
    options = "".join(
        f"{{%- set {name} = {_literal(value)} -%}}" for name, value in renderer.template_options.items()
    )
    prelude = PRELUDE
    for name, value in values.items():
        prelude = prelude.replace(f"%({name})s", value)
    if renderer.date is not None and "strftime_now" in source:
        midnight = datetime.datetime.combine(datetime.date.fromisoformat(renderer.date), datetime.time())
        codes = {code: midnight.strftime(code) for code in CODES if code in source}
        options += f"{{%- set auralign_date = {_literal(codes)} -%}}{DATED}"
    return options + prelude + source


def write_processor(folder, architecture, renderer, extractor, tokenizer, slot: list) -> str | None:
    """Write tokenizer, feature extractor and, if it gives the ids of training, the processor.

    Arguments
    ---------
    folder : path
    architecture : Architecture
    renderer : Renderer
    extractor : transformers.WhisperFeatureExtractor
    tokenizer : transformers.PreTrainedTokenizerBase
        With the audio token.
    slot : list
        As of `make_template`.

    Returns str, why there is no processor; None if there is one.
    """
    import transformers

    tokenizer.chat_template = make_template(renderer, slot, architecture.audio_token)
    problem = None
    if architecture.name not in PROCESSORS:
        problem = {
            "voxtral": "VoxtralProcessor needs the tokenizer of mistral-common, whose token 24 is the audio; "
            f"this one is a {type(tokenizer).__name__}",
            "ultravox": "UltravoxProcessor is Python code of fixie-ai's model folders; copy ultravox_processing.py from one",
        }[architecture.name]
    else:
        processor = getattr(transformers, PROCESSORS[architecture.name])(
            extractor, tokenizer, chat_template=tokenizer.chat_template, audio_token=architecture.audio_token
        )
        problem = find_difference(processor, renderer, slot, architecture.audio_token)
    if problem is None:
        processor.save_pretrained(folder)
    else:
        tokenizer.save_pretrained(folder)
        extractor.save_pretrained(folder)
    return problem


def find_difference(processor, renderer, slot: list, token: str) -> str | None:
    """The first way in which a processor's ids of a prompt differ from those of training; None if they do not.

    Arguments
    ---------
    processor : transformers.ProcessorMixin
    renderer : Renderer
    slot : list
        As of `make_template`.
    token : str
        The audio token.
    """
    import jinja2
    import numpy as np

    rate = processor.feature_extractor.sampling_rate
    audio = np.zeros(rate, dtype=np.float32)
    audio_id = processor.tokenizer.convert_tokens_to_ids(token)
    for prompt in PROMPTS:
        before, _, after = prompt.partition(SLOT)
        texts = [{"type": "text", "text": text} for text in (before, after.removeprefix("\n"))]
        parts = [texts[0], {"type": "audio", "audio": audio}, texts[1]]
        message = {"role": "user", "content": [part for part in parts if part.get("text") != ""]}
        try:
            given = processor.apply_chat_template(
                [message], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
            )["input_ids"][0].tolist()
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            return f"the chat template of {type(renderer.tokenizer).__name__} does not render a turn with audio ({error})"
        trained = []
        for piece in renderer.render(View(fill(prompt, *segments_of_slot(slot, "")))).pieces:
            trained += [audio_id] * given.count(audio_id) if piece.is_speech else piece.ids
        if given != trained:
            place = next(
                (n for n, pair in enumerate(zip(given, trained, strict=False)) if pair[0] != pair[1]), -1
            )
            found, wanted = (
                processor.tokenizer.convert_ids_to_tokens(ids)[place:][:4] for ids in (given, trained)
            )
            return (
                f"in the prompt {prompt!r} the tokenizer {type(processor.tokenizer).__name__} gives {found}, the model was "
                f"trained with {wanted}"
            )
    return None


def _literal(value) -> str:
    """A value as Jinja writes it."""
    if value is None:
        return "none"
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(
                f"{json.dumps(str(name), ensure_ascii=False)}: {_literal(item)}"
                for name, item in value.items()
            )
            + "}"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # Jinja knows no pairs of surrogates
