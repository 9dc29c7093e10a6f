"""Make the tokenizer of the digits example: sentencepiece BPE in a Hugging Face folder, with ChatML.

Reads: nothing; the training text is made from `world.py`.
Writes: tokenizer.model, tokenizer.json, tokenizer_config.json and chat_template.jinja in the given folder.
"""

import io
import json
import random
from pathlib import Path

import sentencepiece
from transformers import AutoTokenizer

import world

PAUSE = "<|pause|>"
END_OF_TURN = "<|im_end|>"
NUM_PIECES = 1000  # 256 bytes, the letters, and room for every whole word with and without a space before it
NUM_SENTENCES = 40  # per instruction; enough for every word to be frequent

# Qwen's frame without its default system prompt: what is not said by the user is not in the prompt.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def training_sentences():
    """Sentences of the world, so that each of its words is seen at the start of a text and after a space."""
    rng = random.Random(0)
    sentences = []
    for task in world.TASKS.values():
        for phrasing in task.phrasings:
            for _ in range(NUM_SENTENCES):
                digits = [rng.choice(world.DIGITS) for _ in range(rng.randint(2, 7))]
                before, after = phrasing.split(world.SLOT)
                pieces = [
                    before.strip(),
                    task.command,
                    " ".join(digits),
                    after,
                    world.answer(task.name, digits),
                ]
                sentences += [piece for piece in pieces if piece] + [world.default_reply(digits)]
    for word in (*world.ANSWER_WORDS, "user", "assistant", "system"):
        sentences += [word] * NUM_SENTENCES + [f"a {word}"] * NUM_SENTENCES
    return sorted(sentences)


def train_sentencepiece():
    """Train BPE pieces. Returns: the bytes of a sentencepiece model."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(training_sentences()),
        model_writer=model,
        model_type="bpe",
        vocab_size=NUM_PIECES,
        hard_vocab_limit=False,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        byte_fallback=True,
        character_coverage=1.0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def build_tokenizer(folder):
    """Write the tokenizer into `folder` and return it as `AutoTokenizer` loads it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(train_sentencepiece())
    settings = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": False,
        "add_eos_token": False,
        "add_prefix_space": False,
        "legacy": False,
        "bos_token": None,
        "eos_token": END_OF_TURN,
        "pad_token": "<|endoftext|>",
        "unk_token": "<unk>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|im_start|>", PAUSE]})
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)
