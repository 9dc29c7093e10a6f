"""Part what a model hears from what it does with it, on the unseen tasks of the digits example.

    python local/lost_answers.py exp/synthetic/sift/seed_1 exp/recorded/sift/seed_1 ...

The reply to bare speech names the digits that were heard. Of the questions about unseen tasks, a line for each run says which
share
    cascade    is right from the encoder's transcript;
    heard      would be right if the task were done on the digits that the same model names in its own reply;
    speech     is right;
    as heard   is answered as the task demands of the digits in its own reply, right or not.
If `heard` is at the cascade and `speech` is below it, then the speech is heard, and the LLM reads the embeddings otherwise for
another task than for its reply.

Reads: the answers of stage 4
Writes: nothing; the table is on stdout, in Markdown
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import world  # noqa: E402
from auralign import script  # noqa: E402
from auralign.records import Hypothesis, Question, Records  # noqa: E402
from auralign.run_folder import RunFolder  # noqa: E402

BARE, UNSEEN = "no instruction", "unseen tasks"


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="output folders, after stage 4")
    print("| run | questions | cascade | heard | speech | as heard |\n|---|--:|--:|--:|--:|--:|")
    for path in parser.parse_args(argv).runs:
        run = RunFolder.open(path)
        with run.working_here():
            questions = list(Records(run.data.questions, Question))
            speech, cascade = (
                {one.key: one.text for one in Records(run.hypotheses(given), Hypothesis)}
                for given in ("speech", "transcript")
            )
        shares = share_out(questions, speech, cascade)
        print(
            f"| {path} | {shares.pop('questions')} | "
            + " | ".join(f"{x:.2f}" for x in shares.values())
            + " |"
        )


def share_out(questions, speech, cascade):
    """The shares of the head, by name, and the number of questions about unseen tasks.

    Arguments
    ---------
    questions : list of Question
    speech, cascade : dict of str
        Answers by the key of their question, from speech and from the encoder's transcript.

    Raises ValueError if an utterance of these questions was not answered without an instruction too.
    """
    named = {one.utt_id: heard_in(speech[one.key]) for one in questions if one.group == BARE}
    unseen = [one for one in questions if one.group == UNSEEN]
    counts = dict.fromkeys(("cascade", "heard", "speech", "as heard"), 0)
    for one in unseen:
        if one.utt_id not in named:
            raise ValueError(f"{one.utt_id}: no question of the group {BARE!r}; run stage 1 (prepare) again")
        demanded = answer_to(one.task, named[one.utt_id])
        counts["cascade"] += cascade[one.key] == one.reference
        counts["heard"] += demanded == one.reference
        counts["speech"] += speech[one.key] == one.reference
        counts["as heard"] += speech[one.key] == demanded
    if not unseen:
        raise ValueError(f"no question of the group {UNSEEN!r}; run stage 1 (prepare) again")
    return {"questions": len(unseen)} | {name: count / len(unseen) for name, count in counts.items()}


def heard_in(reply):
    """The digits that a reply to bare speech names, or None if it is no such reply."""
    form, content = world.extract(reply)
    return content if form == world.DEFAULT and set(content) <= set(world.DIGITS) else None


def answer_to(task, digits):
    """The right answer to a task on digits, or None if there is none."""
    if not digits or task == "count" and len(digits) >= len(world.DIGITS):
        return None
    return world.answer(task, digits)


if __name__ == "__main__":
    script.run(main)
