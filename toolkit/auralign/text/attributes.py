"""The words in which corpora and methods say what is known of a speaker.

>>> spoken_form("age", 25), spoken_form("emotion", " Happy"), EMOTIONS[1][0]
('young adult', 'happy', 'happy')
"""

# What corpora call the emotions: IEMOCAP, MELD, ESD, CREMA-D, RAVDESS and MSP-Podcast have some of these.
EMOTIONS = (
    ("neutral", "neu", "calm"),
    ("happy", "hap", "happiness", "joy"),
    ("angry", "ang", "anger"),
    ("sad", "sadness"),
    ("surprise", "sur", "surprised"),
    ("fear", "fea", "fearful"),
    ("disgust", "dis", "disgusted"),
)


def spoken_form(name: str, value: object) -> str:
    """An attribute's value as AZeroS (arXiv:2601.06086) gives it to an LLM: in lower case, an age in years by its group.

    The groups are those of run_data_generation.py in https://github.com/AudenAI/Auden, but that an age of 0, and of less, makes a
    young adult there. "" for a value that is not there, or an age that nobody has.
    """
    if value is None:
        return ""
    try:
        years = float(str(value)) if name == "age" else None
    except ValueError:  # such as "twenties"
        years = None
    if years is None:
        return str(value).strip().lower()
    groups = {
        "teenager": 0 <= years < 18,
        "young adult": 18 <= years < 40,
        "middle-age adult": 40 <= years <= 60,
        "senior": 60 < years < 200,
    }
    return next((group for group, within in groups.items() if within), "")


def words_for(name: str, value: object) -> tuple[str, ...]:
    """All words for an attribute's value, its own first.

    >>> words_for("age", 25), words_for("emotion", "happiness")
    (('25', 'young adult'), ('happiness', 'happy', 'hap', 'joy'))
    """
    own, spoken = str(value).strip().lower(), spoken_form(name, value)
    others = next((words for words in EMOTIONS if own in words), ())
    return tuple(dict.fromkeys(word for word in (own, spoken, *others) if word))
