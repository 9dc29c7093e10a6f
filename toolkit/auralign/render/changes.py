"""What differs between two records of prompts (`Renderer.describe`), in words.

>>> before = {"conversation": ["<user>", "<end>"]}
>>> describe_conversation_change(before, {"conversation": ["<user>", "</s>"]})
" (between the first turn and its answer, in a conversation, was '<end>', is '</s>')"
"""

NUM_TURNS = 3  # of the user: each place of a longer conversation occurs in them
PLACES = (
    "before the first turn",
    "between the first turn and its answer",
    "between the first answer and the second turn",
    "between the second turn and its answer",
    "between the second answer and the third turn",
    "behind the third turn",
)


def describe_change(before: dict | None, now: dict | None) -> str:
    """The differences between two records of `Renderer.describe`, in brackets; "" if the first was not recorded."""
    if not before or not now or "frames" not in before:
        return ""
    pairs = [("the date", before["date"], now["date"])]
    pairs.append(("what begins and ends a document", before.get("document"), now.get("document")))
    pairs.append(("template_options", before["template_options"], now["template_options"]))
    for name in {**before["frames"], **now["frames"]}:
        old, new = before["frames"].get(name, {}), now["frames"].get(name, {})
        pairs += [(f"{piece} ({name})", old.get(piece), new.get(piece)) for piece in {**old, **new}]
    changes = [f"{what} was {old!r}, is {new!r}" for what, old, new in pairs if old != new]
    return f" ({'; '.join(changes) or 'the same words, as other token ids'})"


def describe_conversation_change(before: dict | None, now: dict | None) -> str:
    """The differences between two records of `Renderer.describe` in a conversation of several turns, in brackets.

    "" if there are none, or if an earlier auralign did not record what a conversation is like. A template may treat a turn alike,
    if it is the only one, and several turns otherwise.
    """
    if not before or not now or not {"conversation"} <= before.keys() & now.keys():
        return ""
    was, is_now = before["conversation"], now["conversation"]
    if was is None or is_now is None:
        changes = [] if was == is_now else [f"several turns were {_taken(was)}, are {_taken(is_now)}"]
    else:
        changes = [
            f"{place}, in a conversation, was {old!r}, is {new!r}"
            for place, old, new in zip(PLACES, was, is_now, strict=False)
            if old != new
        ]
    return f" ({'; '.join(changes)})" if changes else ""


def _taken(conversation: list[str] | None) -> str:
    return "refused" if conversation is None else "taken"
