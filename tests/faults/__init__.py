"""The fault suite: what auralign leaves if it is killed, damaged, changed, crowded, filled up or fed with hostile content.

    tools/fault_suite.sh --only kills,flips        runs classes of faults, and writes their figures into RELIABILITY.md

A class is a function that plans a `Try` for each fault. It survives if the work is finished or refused as promised, it is lost
if it cannot be, and it is silent if the result differs, or foreign code ran, without a message. One more class is a function
(workplace, random) -> list of such plans, its name in `CLASSES` of `faults.__main__`, and a row in both tables of the page.

A new stage, such as a builder of data, is one entry of `STEPS` in `faults.workplace`: its command is then killed at every file
event, stopped, started twice, run with a clock that steps, on a full disk, and while what it reads is replaced:

    "shuffle": Step(
        ("auralign", "shuffle", "data/train.jsonl", "data/shuffled.jsonl"),
        reads={"data/train.jsonl": other_word},
        is_long=True,                     # signals, too: a queue or a user may stop it
    ),

The steps so far are the stages of a recipe and the builders; audio in a tar file, and a training on documents in which its clips
are heard; two shards of stage 2, the second of which joins both, with answers in the slots of the engine, and a training with a
book of tags and with grades.

Files that no stage before has made are written by `make_sources` or `make_documents` there. What it writes, and which command
reads that, is one entry of `ARTEFACTS` in `faults.flips`: its bytes are then damaged.
"""
