# Same in every recipe; tests/recipes/test_shared.py keeps it so. Delete this line to diverge.
"""Stage 2: the frozen LLM writes the targets of the training and validation utterances.

    python generate.py hparams/sift.yaml [--temperature 0.7 ...]

Targets that checkpoints were trained on are never replaced: if other values would change them, the stage stops and says so.
With --restart it writes them to the next targets_<number>.

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
from auralign.store import teacher_path
from auralign.versions import choose_targets, target_folders, trained_on


def main(argv):
    hparams = load_recipe(argv)
    output, settled = Path(hparams.output_folder), describe(settings(hparams, "generate"))
    manifests = {split: Path(hparams.data_folder) / f"{split}.jsonl" for split in ("train", "valid")}
    inputs = {
        f"generate {split}": {
            "auralign": __version__,
            **settled,
            "manifest": content(manifest, made_by="stage 1 (prepare)"),
        }
        for split, manifest in manifests.items()
    }
    folder = choose_targets(output, inputs, restart=hparams.restart)
    for (name, its_inputs), (split, manifest) in zip(inputs.items(), manifests.items(), strict=True):
        path = folder / f"{split}.jsonl"
        outputs = [path, rejected_path(path)]
        if hparams.method.needs.top_k:
            outputs.append(teacher_path(path, hparams.method.needs))
        with Stage(name, folder, inputs=its_inputs, outputs=outputs, protected=trained_on(output)) as stage:
            if not stage.complete:
                print(f"{name}: {write_targets(hparams, manifest, path, stage.partial(path))}, in {path}")
    target_folders(output).make_current(folder)


def write_targets(hparams, manifest, path, partial):
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
    summary = writer.write(utterances, path, partial=partial)
    if hparams.method.needs.top_k:
        kept = Records(path, Target)
        scored = write_teacher(kept, utterances, method=hparams.method, llm=llm, renderer=renderer)
        summary = f"{summary}; {scored}"
    return summary


if __name__ == "__main__":
    script.run(main)
