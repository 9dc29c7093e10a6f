"""The tasks over spoken sentences: seven content-bound rules of `auralign.score.obey`, repeating, and four own answers.

    >>> TASKS["sentiment"].kind, TASKS["first_word"].kind
    ("by the LLM's own answer to the text", 'by rule')
    >>> TASKS["repeat"].rule("Go, do you hear?", "go do you hear")
    1.0

Rules on the form alone are left out, as one constant answer to every utterance obeys them.
"""

from auralign.generalisation.task import Task
from auralign.score import obey
from auralign.text.words import english_words

MIN_WORDS, MAX_WORDS, MAX_SECONDS = 4, 40, 20.0
CORPUS = "LibriSpeech test-clean"
SUBSET = "test-clean"  # of the label `subset`, in manifests that hold others too
NUM_UTTS_OF_CORPUS = 2620
UTTS_PER_SPEAKER = 2

# Key words of an instruction that asks for the same task as one of `obey`; the first match does not exclude others.
ASKS = {
    "upper_case": r"\bcapitals\b|\b(block )?capital letters?\b|\bupper.?case",
    "first_word": r"\b(first|opening|initial) word\b|\bword\b.*\b(comes first|began|begins)\b",
    "last_word": r"\b(last|final|closing) word\b|\bword\b.*\b(comes last|ended|ends)\b",
    "count_words": r"\bhow many words\b|\bnumber of words\b|\bcount\b.*\bwords\b",
    "contains_word": r"\b(does|do|is|was)\b.*\bword '[^']+'|\bcontains? the word\b|\bword\b.*\b(occur|appear)",
    "json": r"\bjson\b",
    "spell_first_word": r"\bspel(l|t|led|ling)\b.*\bword\b|\bword\b.*\bspel(l|t|led|ling)\b|letter by letter"
    r"|\bletters\b.*\bone by one\b",
}

REPEAT = (
    "Repeat the following word for word: {speech}",
    "{speech}\n\nWrite that down exactly as it is.",
    'What does "{speech}" say? Give every word in its order.',
    "Copy what comes next into the record, with nothing left out.\n{speech}",
    "Take the words {speech} and give them back unchanged.",
)
SENTIMENT = (
    "Is the mood of this sentence positive, negative or neutral? Answer with one of these words: {speech}",
    "{speech}\n\nPositive, negative or neutral? Say one word only.",
    'Does "{speech}" sound positive, negative or neutral? Reply with that word alone.',
    "Label the feeling of what follows as positive, negative or neutral, and write nothing else.\n{speech}",
    "Somebody said {speech} to me. In one word, was that positive, negative or neutral?",
)
PERSON = (
    "Does this sentence speak of a person? Answer yes or no: {speech}",
    "{speech}\n\nIs anybody mentioned in that? Say only yes or no.",
    'Is "{speech}" about somebody? Yes or no.',
    "Look for a human being in the following; reply yes if there is one, and no if there is none.\n{speech}",
    "In {speech} does a person occur? A plain yes or no will do.",
)
GERMAN = (
    "Translate this sentence into German: {speech}",
    "{speech}\n\nSay that in German.",
    'How would a German say "{speech}"? Give the German alone.',
    "Put the following into German, and add nothing.\n{speech}",
    "Please turn the words {speech} into German.",
)
CONTINUE = (
    "Write the sentence that comes after this one: {speech}",
    "{speech}\n\nGo on with one more sentence.",
    'After "{speech}", what would be said next? One sentence.',
    "Continue the story that begins below by a single sentence.\n{speech}",
    "Given {speech} as a beginning, add what follows, in one sentence.",
)


def _is_usable(said: str) -> bool:
    return MIN_WORDS <= len(english_words(said)) <= MAX_WORDS


def _obey(name: str) -> Task:
    known = obey.TASKS[name]
    return Task(
        name, known.phrasings, known.meaning, known.check, known.can_tell, frozenset({name}), ASKS[name]
    )


def _own(name: str, phrasings: tuple[str, ...], meaning: str, names: str, asks: str) -> Task:
    return Task(name, phrasings, meaning, None, _is_usable, frozenset({name, *names.split()}), asks)


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "repeat",
            REPEAT,
            "the sentence; 20 % of the words may differ",
            lambda answer, said: float(obey.is_transcription(answer, said)),
            _is_usable,
            frozenset({"repeat", "transcription", "transcribe", "asr", "repetition"}),
            r"\brepeat\b|\btranscri|\bwrite (it |this |that )?down\b|\bword for word\b|\bexact words\b|\bdictation\b"
            r"|\bsay (it|this|that) again\b|\bwhat did (you hear|the speaker say)\b|\bwhat (was|is being) said\b|\bonce more\b"
            r"|\b(speech|audio|recording)\b.* (in)?to text\b|\brecogni[sz]e (the|this) (speech|audio)\b|\bon paper\b"
            r"|\b(write|type|note)\b.*\b(you (hear|heard)|spoken|out (the|this) (audio|speech|recording))\b|\bdictate\b",
        ),
        *(_obey(name) for name in ASKS),
        _own(
            "sentiment",
            SENTIMENT,
            "positive, negative or neutral, as the LLM answers the text",
            "mood",
            r"\bsentiment\b|\bmood\b|\bfeel(s|ing)?\b|\bpositive\b.*\bnegative\b|\bemotion",
        ),
        _own(
            "person",
            PERSON,
            "yes or no, as the LLM answers the text",
            "",
            r"(?<!this )(?<!the )\bperson\b|\bpeople\b|\bnamed entit|\banybody\b|\bsomebody mentioned\b",
        ),
        _own(
            "in_german",
            GERMAN,
            "the words of the LLM's own translation of the text",
            "german translate_german",
            r"(?<!from )\bgerman\b",
        ),
        _own(
            "continue",
            CONTINUE,
            "the words of the LLM's own continuation of the text",
            "continuation",
            r"\bcontinu(e|ation)\b|\b(go|carry) on\b|\b(comes?|said) next\b|\bcome after\b",
        ),
    )
}


def is_fit(said: str, seconds: float) -> bool:
    """Whether every task can be asked about an utterance."""
    return seconds <= MAX_SECONDS and _is_usable(said) and all(task.can_tell(said) for task in TASKS.values())
