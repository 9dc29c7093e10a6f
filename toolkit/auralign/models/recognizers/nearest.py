"""Find a phrase in a transcript that may hold other words than were said."""


def nearest_words(words: list[str], phrase: list[str]) -> tuple[int, int, int] | None:
    """Find the words of a transcript that are nearest to a phrase.

    The nearest words need the fewest edits: words inserted, deleted or replaced. Of several candidates, the earliest is taken;
    of those that start there, the one whose number of words is nearest to the phrase's.

    Returns
    -------
    first, last, edits : int, the last inclusive; None if no word of the phrase is found.

    >>> nearest_words("please sort three nine two".split(), "three five".split())
    (2, 3, 1)
    """
    best = None
    for first in range(len(words)):
        column = list(range(len(phrase) + 1))  # edits from the first words of the phrase to no word
        for last, word in enumerate(words[first : first + 2 * len(phrase)], start=first):
            before, column = column, [column[0] + 1]
            for at, wanted in enumerate(phrase):
                replaced = before[at] + (word != wanted)
                column.append(min(replaced, before[at + 1] + 1, column[at] + 1))
            rank = (column[-1], first, abs(last + 1 - first - len(phrase)))
            if best is None or rank < best[0]:
                best = (rank, last)
    if best is None or best[0][0] >= len(phrase):
        return None
    (edits, first, _), last = best
    return first, last, edits
