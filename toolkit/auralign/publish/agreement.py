"""Twenty questions to the LLM alone: how far another build of it answers as the one that a model was trained with.

A model folder holds the questions and the answers of its LLM. Beside another build of the weights they are asked once.
"""

from auralign.files import hash_value, recall, remember
from auralign.layout import Text, View
from auralign.models.llm import Decoding

QUESTIONS = (
    "What is the capital of France?", "What is two plus three?", "Name three colours.", "What is the opposite of hot?",
    "Which day comes after Monday?", "Say hello in Spanish.", "How many legs does a spider have?", "What do bees make?",
    "Repeat these words: red, green, blue.", "What is the largest planet of the solar system?", "Spell the word cat.",
    "What is the past tense of go?", "Name an animal that can fly.", "What is water made of?", "Count from one to five.",
    "Who wrote Romeo and Juliet?", "What colour is the sky on a clear day?", "What is ten minus four?",
    "Which language do people speak in Brazil?", "Name a fruit that is yellow.",
)  # fmt: skip
MAX_NEW_TOKENS = 24


def ask_questions(llm, renderer) -> list[dict]:
    """The greedy answers of the original LLM to `QUESTIONS`, of at most 24 tokens: dicts of "question" and "answer"."""
    return [
        {"question": question, "answer": answer}
        for question, answer in zip(QUESTIONS, _answer(QUESTIONS, llm, renderer), strict=True)
    ]


def agreement(asked: list[dict], llm, renderer) -> str:
    """How many of the stored questions an LLM answers word for word as stored; computed once for an LLM, then remembered.

    Arguments
    ---------
    asked : list of dict
        The result of `ask_questions` with another build.
    llm : LLM
    renderer : Renderer
    """
    key = hash_value([asked, llm.revision, renderer.frame_hash])
    told = recall("agreement", key)
    if told is None:
        answers = _answer([one["question"] for one in asked], llm, renderer)
        same = sum(one["answer"] == answer for one, answer in zip(asked, answers, strict=True))
        told = f"the LLM answers {same} of {len(asked)} stored questions word for word as the one it was trained with"
        remember("agreement", key, told)
    return told


def _answer(questions, llm, renderer) -> list[str]:
    prompts = [renderer.render(View((Text(question),))).ids for question in questions]
    with llm.original():
        answers = llm.generate(
            [llm.embed(prompt) for prompt in prompts],
            decoding=Decoding(max_new_tokens=MAX_NEW_TOKENS),
            stop_ids=renderer.stop_ids,
        )
    return [renderer.read(answer.ids).text for answer in answers]
