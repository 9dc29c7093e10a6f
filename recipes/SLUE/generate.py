# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge.
"""Stage 2: the frozen LLM writes the targets of the training and validation utterances.

    python generate.py hparams/sift.yaml [--temperature 0.7 ...]

Reads: <data_folder>/{train,valid}.jsonl
Writes: <output_folder>/targets/{train,valid}.jsonl, and beside each what was rejected and why; for a method that distils from
        a teacher computed once, <name>.teacher_<k>_<temperature>.npy
"""

from pathlib import Path

from auralign import __version__, script
from auralign.data.manifest import rejected_path
from auralign.fingerprint import describe
from auralign.generate.engine import TransformersEngine
from auralign.generate.targets import TargetWriter
from auralign.generate.teacher import write_teacher
from auralign.hparams import load_recipe, settings
from auralign.models.build import build_llm
from auralign.records import Records, Target, Utterance
from auralign.stage import Stage, content
from auralign.store import partial_path, teacher_path


def main(argv):
    hparams = load_recipe(argv)
    for split in ("train", "valid"):
        manifest = Path(hparams.data_folder) / f"{split}.jsonl"
        path = Path(hparams.output_folder) / "targets" / f"{split}.jsonl"
        inputs = {
            "auralign": __version__,
            **describe(settings(hparams, "generate")),
            "manifest": content(manifest, made_by="stage 1 (prepare)"),
        }
        outputs, partial = [path, rejected_path(path)], [partial_path(path)]
        if hparams.method.needs.top_k:
            outputs.append(teacher_path(path, hparams.method.needs))
        with Stage(
            f"generate {split}",
            path.parent,
            inputs=inputs,
            outputs=outputs,
            partial=partial,
            needed_by=Path(hparams.output_folder) / "checkpoints",
        ) as stage:
            if not stage.complete:
                print(f"{stage.name}: {write_targets(hparams, manifest, path)}, in {path}")


def write_targets(hparams, manifest, path):
    """Ask the LLM about every utterance; returns a summary of one line."""
    llm, renderer = build_llm(hparams)
    engine = TransformersEngine(llm, renderer, batch_size=hparams.generate_batch_size)
    writer = TargetWriter(
        hparams.method,
        renderer,
        engine,
        llm_name=llm.name,
        llm_revision=llm.revision,
        decoding={"max_new_tokens": hparams.max_new_tokens, "temperature": hparams.temperature},
        seed=hparams.seed,
        max_rejected=hparams.max_rejected,
        keep_cut_off=hparams.keep_cut_off,
    )
    utterances = Records(manifest, Utterance)
    summary = writer.write(utterances, path)
    if hparams.method.needs.top_k:
        kept = Records(path, Target)
        scored = write_teacher(kept, utterances, method=hparams.method, llm=llm, renderer=renderer)
        summary = f"{summary}; {scored}"
    return summary


if __name__ == "__main__":
    script.run(main)
