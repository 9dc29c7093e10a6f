"""What the side-by-side asks, and how far the answers are those to the text."""

from local.side_plan import GROUPS, NONE, QUESTION, REQUESTS
from local.texts import words_of

from auralign.files import hash_value
from auralign.records import Question

HELD_OUT = (
    "new combination",
    "new template",
    "new sentence of the LLM",
)  # groups of the test set with voices of training


def answer_text_as_trained(listener, asked) -> dict[str, str]:
    """Answers by key to the text of each question, of the LLM as it was trained; the original's differ where it forgot."""
    from auralign.layout import Text, View, fill

    prompts = [
        listener.renderer.render(
            View(fill(question.instruction, Text(listener.manifest[question.utt_id].text)))
        )
        for question in asked
    ]
    return dict(zip((question.key for question in asked), listener.answer(prompts), strict=True))


def agreement_by_group(
    asked, wanted: dict[str, str], found: dict[str, str], voices: dict[str, str | None]
) -> dict[str, dict]:
    """By test group the number of questions, the mean of each measure of agreement, and the 95 % interval of F1 over voices.

    Arguments
    ---------
    asked : iterable of Question
    wanted, found : dict of str to str
        Answers by key: those to the text, and those to be compared with them.
    voices : dict of str to str or None
        The speaker of each utterance, by its id.
    """
    from local.measures import agreement, f1_interval

    groups: dict[str, list[tuple[Question, dict]]] = {}
    for question in asked:
        measured = agreement(wanted[question.key], found[question.key])
        groups.setdefault(question.group, []).append((question, measured))
    table = {}
    for group, measured in groups.items():
        values = {name: [one[name] for _, one in measured] for name in measured[0][1]}
        utts = [question.utt_id for question, _ in measured]
        interval = f1_interval(values["F1"], utts=utts, voices=[voices[utt_id] for utt_id in utts], seed=1)
        means = {name: sum(of_name) / len(of_name) for name, of_name in values.items()}
        table[group] = {"n": len(measured), **means, "F1 interval": interval}
    return table


def make_questions(manifest, number: int) -> list[Question]:
    """The questions of every test group, about held-out utterances in voices of training.

    Arguments
    ---------
    manifest : iterable of Utterance
    number : int
        Of each group, at most.

    Raises ValueError if a group is empty.
    """
    held_out = [one for one in manifest if one.labels.get("group") in HELD_OUT]
    held_out.sort(key=lambda one: (hash_value(one.id), one.id))
    asked = []
    for group, instructions in GROUPS.items():
        utterances = [
            one for one in held_out if group not in (QUESTION, NONE) or asks(one.text) == (group == QUESTION)
        ][:number]
        if not utterances:
            raise ValueError(
                f"the test set has no utterance for the group {group!r}, of {', '.join(HELD_OUT)}; make the corpus again "
                "(stage 0)"
            )
        for count, one in enumerate(utterances):
            instruction = instructions[count % len(instructions)]
            key = f"{group}/{one.id}"
            asked.append(Question(key, one.id, group, instruction or "none", instruction, None))
    return asked


def asks(text: str) -> bool:
    """Whether a text asks for an answer: a question, or a request.

    >>> asks("What is ice?"), asks("Tell me about ice."), asks("The ice is cold.")
    (True, True, False)
    """
    return text.rstrip().endswith("?") or bool(words_of(text) and words_of(text)[0] in REQUESTS)
