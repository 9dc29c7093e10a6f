# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge.
"""Stage 4: answer the test questions from speech, and with the same LLM from text.

    python decode.py hparams/sift.yaml [--decode_num_beams 4 ...]
    python decode.py hparams/sift.yaml --shard 2/4                the second of four parts; whoever finishes last joins them

Reads: <data_folder>/test.jsonl, <data_folder>/test.questions.jsonl, <output_folder>/checkpoints/
Writes: <output_folder>/hypotheses/test.{speech,shuffled}.jsonl (and {speech,shuffled}_alone if the method puts a transcript
        beside the speech), and, once for all methods,
        <text_folder>/hypotheses/test.{text,normalised,transcript,other_text}.jsonl
"""

from functools import cache

from auralign import script, steps


def main(argv):
    shard, argv = steps.Shard.of_arguments(argv)
    run = steps.RunFolder.of_arguments(argv, doc=__doc__)
    decoder = cache(lambda: steps.make_decoder(run))  # built when the first input needs it
    for stage in steps.decoding(run, shard):
        with stage:
            if not stage.complete:
                print(f"{stage.name}: {steps.write_answers(run, stage, decoder())}")


if __name__ == "__main__":
    script.run(main, resumes=True)
