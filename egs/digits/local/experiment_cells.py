"""Loss and connector apart: SIFT's cross-entropy and Wav2Prompt's matching of embeddings, each with the connector of both.

    python local/experiment_cells.py [--num_steps 450] [--seeds 1,2,3] [--data_folder data/synthetic]

answer, stacked       SIFT: cross-entropy of the LLM's own reply; frames stacked, one embedding for 160 ms
answer, counted       the same loss, and that of the count; the connector of Wav2Prompt, one embedding for each token
matched, stacked      the embedding in the middle of each word is to be its token's, the others a pause's: squared distance
matched, counted      Wav2Prompt without its cross-entropy

All four take the same utterances of bare digits in each step, and are asked about tasks that none trains. A line for each goes
to stdout.

Reads:
    <data_folder>/train.jsonl, test.jsonl, and their audio; models/llm, models/encoder
Writes:
    nothing
"""

import argparse
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import world
from auralign.layout import SPEECH, STUDENT, TEACHER, Layout, Speech, View
from auralign.losses import distance, join, read_unit
from auralign.method import AlignmentMethod, Needs, in_slot
from auralign.models.build import build_model
from auralign.plugins import load_method
from auralign.recipe import load_recipe
from auralign.records import Choice
from build_tokenizer import PAUSE
from experiment_arms import NOTHING, Arm, make_questions
from experiment_model import Corpus, Model, train

CONNECTORS = {"stacked": "sift", "counted": "wav2prompt"}  # the YAML that names it
LOSSES = ("answer", "matched")
SECONDS = 0.16  # of an embedding of stacked frames, as hparams/sift.yaml has them


@dataclass(frozen=True)
class MatchedStacks(AlignmentMethod):
    """Match each embedding of a connector that does not count with what is said in its time: squared distance.

    The one in the middle of a word stands for the word, the others for nothing. Needs the times of all words.

    Arguments
    ---------
    pause : int
        Id of the token that says nothing.
    seconds : float
        Of speech in an embedding. What is left at the end of an utterance has none, and its word the last.
    """

    pause: int
    seconds: float

    name = "matched_stacks"
    needs = Needs(target=False, teacher=True, llm_views=())

    def choices(self, utterance, rng):
        """The middles of the words, in seconds."""
        middles = [(start + end) / 2 for _, start, end in utterance.words]
        yield Choice(task="none", options={"middles": middles})

    def given_response(self, utterance, choice):
        """Nothing is answered."""
        return ""

    def layout(self, utterance, choice, response):
        """The speech alone."""
        return Layout.of(View((Speech(utterance.text),)))

    def loss(self, views):
        """The distance from the token of each embedding."""
        student, teacher = views[STUDENT], views[TEACHER]
        pause = student.llm.embed([self.pause])
        spoken = zip(student.each(SPEECH, 0), teacher.each(SPEECH, 0), student.choices, strict=True)
        distances = []
        for heard, read, choice in spoken:
            meant = pause.repeat(len(heard), 1)
            middles = [int(middle / self.seconds) for middle in choice.options["middles"]]
            meant[[min(middle, len(heard) - 1) for middle in middles]] = read
            distances.append(distance(heard, meant, squared=True))
        return {"embedding": replace(join(distances), unit=read_unit(SPEECH))}


def load(connector: str, options, seed: int) -> Model:
    """A model whose connector has random weights."""
    changes = {"data_folder": options.data_folder, "seed": str(seed), "feature_cache": "memory"}
    recipe = load_recipe(f"hparams/{CONNECTORS[connector]}.yaml", changes)
    model, renderer = build_model(recipe)
    data = Path(options.data_folder)
    corpora = (Corpus(data / f"{name}.jsonl", recipe, model.eval()) for name in ("train", "test"))
    return Model(model, renderer, *corpora, recipe)


def method_of(loss: str, connector: str, tokenizer) -> tuple[AlignmentMethod, tuple[str, ...]]:
    """The method of a cell, and the views that it reads."""
    counts = connector == "counted"
    if loss == "answer":
        return Arm(ask=NOTHING, teach="default", licensed="repeat", counts=counts), (STUDENT,)
    if counts:
        method = load_method("wav2prompt", instruction="{speech}", cross_entropy_weight=0.0)
    else:
        method = MatchedStacks(pause=tokenizer.convert_tokens_to_ids(PAUSE), seconds=SECONDS)
    return method, (STUDENT, TEACHER)


def run(loss: str, connector: str, options, seed: int) -> str:
    """Train a cell and ask it; returns its line."""
    loaded = load(connector, options, seed)
    method, views = method_of(loss, connector, loaded.renderer.tokenizer)
    how = {
        "utts_per_step": 32,
        "lr": 5e-3,
        "num_warmup_steps": 45,
        "num_steps": options.num_steps,
        "seed": seed,
    }
    losses = train(loaded, method, **how, views=views)
    utterances = loaded.test.utterances
    heard = loaded.listen(loaded.test, in_slot(method))
    slot = {utterance.id: spans[0] for utterance, spans in zip(utterances, heard, strict=True)}
    questions = make_questions(utterances)
    outcomes = Counter(loaded.answer(questions, [slot[question.utt_id] for question in questions]))
    replies = loaded.reply([None] * len(heard), heard)
    own = sum(
        reply.text == world.default_reply(utterance.text.split())
        for reply, utterance in zip(replies, utterances, strict=True)
    )
    return (
        f"{loss}, {connector}, seed {seed}: unseen tasks {outcomes['r'] / len(questions):.2f} of {len(questions)}, nothing asked "
        f"{own / len(replies):.2f} of {len(replies)}, loss {sum(losses[-10:]) / len(losses[-10:]):.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num_steps", type=int, default=450)
    parser.add_argument("--seeds", default="1,2,3", help="of the connectors; default: 1,2,3")
    parser.add_argument("--data_folder", default="data/synthetic")
    options = parser.parse_args()
    for seed in map(int, options.seeds.split(",")):
        for connector in CONNECTORS:
            for loss in LOSSES:
                print(run(loss, connector, options, seed), flush=True)


if __name__ == "__main__":
    main()
