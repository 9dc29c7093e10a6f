"""An LLM that answers the questions of a test set from text, so that a run on made-up data proves its scoring.

    llm: !name:auralign.testing.tiny.answering.load_answering_llm
        questions: data/smoke/test.questions.jsonl
        manifest: data/smoke/test.jsonl

It is a causal LLM of transformers with one random layer, as its features tell prompts apart; its output layer is solved by
least squares, so that the answer to each question about the text is its reference. It knows nothing else: to speech, and to a
transcript with errors, it answers something or other.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from auralign.files import PathLike, hash_path, hash_value, make_folder_atomically, make_readable
from auralign.layout import Text, View, fill
from auralign.models.llm import LLM, load_llm
from auralign.records import Question, Records, Utterance
from auralign.render import Renderer
from auralign.score.obey import ASKED_WORD, OPENING, TASKS
from auralign.testing.tiny.llm import make_tokenizer
from auralign.text.words import english_words

VERSION = 1  # of what is built
WIDTH, NUM_HEADS, SPREAD = 768, 12, 0.25
RIDGE = 1e-8  # of the mean square of a feature


def obeying_answer(task: str, said: str) -> str:
    """An answer that the rule of a task of `auralign.score.obey` accepts.

    >>> obeying_answer("spell_first_word", "go do you hear")
    'g-o'
    """
    words = english_words(said)
    answers = {
        "upper_case": said.upper(),
        "first_word": words[0],
        "last_word": words[-1],
        "count_words": str(len(words)),
        "one_word": "talk",
        "list_of_three": "1. one\n2. two\n3. three",
        "in_russian": "да",
        "in_chinese": "是",
        "contains_word": "yes" if ASKED_WORD in words else "no",
        "json": json.dumps({"text": said}),
        "begins_with": f"{OPENING} talk",
        "spell_first_word": "-".join(letter for letter in words[0] if letter.isalpha()),
    }
    return answers[task]


def load_answering_llm(questions: PathLike, manifest: PathLike, **options: Any) -> LLM:
    """Build the LLM beside the questions if it is not there yet, and load it; without questions, as before stage 1, it knows one.

    Arguments
    ---------
    questions, manifest : path
        Files of Question and of Utterance, as stage 1 writes them.
    **options
        As of `auralign.models.llm.load_llm`.
    """
    if not Path(questions).is_file():  # before stage 1
        with tempfile.TemporaryDirectory() as place:
            make_answering_llm(place, [("Repeat: {speech}", "go", "go")])
            return load_llm(place, **options)
    digest = hash_value([VERSION, hash_path(questions), hash_path(manifest)])
    folder = Path(questions).parent / f"answering_llm_{digest[:8]}"
    if not folder.is_dir():
        pairs = list(_pairs(Records(questions, Question), Records(manifest, Utterance)))
        with make_folder_atomically(folder) as unfinished:
            make_answering_llm(unfinished, pairs)
    return load_llm(folder, **options)


def _pairs(questions: Records, manifest: Records) -> Iterator[tuple[str | None, str, str]]:
    """Instruction, text and answer of each question."""
    for question in questions:
        said = manifest[question.utt_id].text
        answer = obeying_answer(question.task, said) if question.task in TASKS else question.reference
        yield question.instruction, said, answer or said


def make_answering_llm(folder: PathLike, pairs: list[tuple[str | None, str, str]]) -> None:
    """Save the LLM that gives the third text of each pair as its answer to the instruction about the second.

    Arguments
    ---------
    folder : path
        It is filled with a model of Hugging Face.
    pairs : list of (instruction or None, text, answer)
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = Path(folder)
    texts = [part for pair in pairs for part in pair if part]
    tokenizer = make_tokenizer(texts=texts, vocab_size=1200)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=NUM_HEADS,
        num_key_value_heads=NUM_HEADS,
        max_position_embeddings=1024,
        tie_word_embeddings=False,
        initializer_range=SPREAD,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    renderer = Renderer(load_llm(folder).tokenizer)
    sequences = []
    for instruction, said, answer in pairs:
        prompt = renderer.render(View(fill(instruction, Text(said)))).ids
        sequences.append((list(prompt), [*renderer.encode(answer), tokenizer.eos_token_id]))
    model.lm_head.weight.data = _solve(model, sequences)
    model.save_pretrained(folder)
    make_readable(folder)


@torch.inference_mode()
def _solve(model: Any, sequences: list[tuple[list[int], list[int]]]) -> torch.Tensor:
    """The output layer (V, D) by which each answer follows its prompt: ridge regression from features to one-hot tokens."""
    width, size = model.config.hidden_size, model.config.vocab_size
    squares = torch.zeros(width, width, dtype=torch.float64)
    products = torch.zeros(width, size, dtype=torch.float64)
    for prompt, answer in sequences:
        ids = torch.tensor([[*prompt, *answer[:-1]]])
        features = model.model(ids, use_cache=False).last_hidden_state[0, len(prompt) - 1 :].double()
        squares += features.T @ features
        products.index_add_(1, torch.tensor(answer), features.T)
    squares += RIDGE * squares.diagonal().mean() * torch.eye(width, dtype=torch.float64)
    return torch.linalg.solve(squares, products).T.float().contiguous()
