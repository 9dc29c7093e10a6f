"""Print one example as the model reads it: `auralign show`."""

from pathlib import Path

from auralign.layout import Speech
from auralign.layout import Target as TargetSegment
from auralign.method import lay_out, respond
from auralign.recipe import RecipeError, load_recipe
from auralign.records import Records, Target, Utterance
from auralign.versions import current_targets

NOT_YET = "(written by the LLM in stage 2)"


def find_yaml(method: str) -> Path:
    """The YAML of a method: a path as it is, a name in the recipe's `hparams/`.

    Raises RecipeError where there is none.
    """
    path = Path(method) if method.endswith(".yaml") else Path("hparams") / f"{method}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in Path("hparams").glob("*.yaml")))
        raise RecipeError(
            f"no {path} here; go to a recipe's folder such as egs/digits, or give the path of a YAML"
            + (f"; here are: {known}" if known else "")
        )
    return path


def show(method: str, utt_id: str | None) -> None:
    """Print the views of one utterance's examples: pieces, ids, positions, tags and loss mask."""
    from auralign.models.build import build_llm

    hparams = load_recipe(find_yaml(method))
    split, utterance = _find_utterance(Path(hparams.data_folder), utt_id)
    _, renderer = build_llm(hparams)
    print(f"utterance {utterance.id} ({split}, {utterance.seconds:.2f} s): {utterance.text!r}")
    for number, (choice, target) in enumerate(_examples(hparams, split, utterance)):
        layout = lay_out(hparams.method, utterance, choice, target)
        print(f"\nexample {number}: task {choice.task!r}, instruction {choice.instruction!r}")
        for name, view in (("student", layout.student), ("teacher", layout.teacher)):
            print(
                f"  {name} view"
                + (": what is trained" if name == "student" else ": what the plain LLM reads")
            )
            _print_view(renderer, view)


def _find_utterance(folder: Path, utt_id: str | None):
    splits = ("train", "valid", "test")
    for split in splits:
        path = folder / f"{split}.jsonl"
        if path.is_file():
            manifest = Records(path, Utterance)
            if utt_id is None and len(manifest):
                return split, manifest[0]
            if utt_id is not None and utt_id in manifest:
                return split, manifest[utt_id]
    if utt_id is None:
        raise RecipeError(f"no manifest in {folder}; run stage 1 (prepare) first")
    raise RecipeError(
        f"no utterance {utt_id!r} in {', '.join(f'{folder}/{split}.jsonl' for split in splits)}"
    )


def _examples(hparams, split: str, utterance):
    """Each choice with its target: the one on disk where it was asked for by just this choice, or what the corpus holds, or a
    stand-in."""
    from auralign.generate.targets import draw_choices

    method = hparams.method
    path = current_targets(hparams.output_folder) / f"{split}.jsonl"
    records = Records(path, Target) if path.is_file() else ()
    found = [target for target in records if target.utt_id == utterance.id]
    for choice in draw_choices(method, utterance, hparams.seed):
        target = next((target for target in found if target.choice == choice), None)
        if target is not None:
            yield choice, TargetSegment.of(target)
        elif not method.needs.target:
            yield choice, TargetSegment("", finished=False)
        else:
            yield choice, TargetSegment(respond(method, utterance, choice) or NOT_YET)


def _print_view(renderer, view) -> None:
    rendered = renderer.render(view)
    names = iter(
        "n" if len(rendered.speech) == 1 else f"n{place + 1}" for place in range(len(rendered.speech))
    )
    texts = iter(segment.text for segment in view.segments if isinstance(segment, Speech))
    place, heard = 0, ""  # positions behind speech are known but for its length
    print(f"    {'positions':>13}  {'tag':<12}{'loss':<6}what")
    for piece in rendered.pieces:
        if piece.is_speech:
            name, part = next(names), ""
            if piece.span != (0.0, 1.0):
                part = " from {:.0%} to {:.0%} of it".format(*piece.span)
            what = f"<{name} embeddings through {piece.branch!r}{part}, for {next(texts)!r}>"
            print(f"    {f'{heard}{place}..+{name}':>13}  {piece.tag:<12}{'':<6}{what}")
            heard = f"{heard}{name}+"
            continue
        end = place + len(piece.ids)
        span = f"{heard}{place}..{end - 1}" if piece.ids else "none"
        loss = "yes" if view.target is not None and piece.tag == view.target.tag else ""
        print(
            f"    {span:>13}  {piece.tag:<12}{loss:<6}{renderer.tokenizer.decode(piece.ids)!r} {list(piece.ids)}"
        )
        place = end
