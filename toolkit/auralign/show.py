"""Print one example as the model reads it: `auralign show`."""

from auralign.layout import Speech
from auralign.layout import Target as TargetSegment
from auralign.method import lay_out, respond
from auralign.recipe import RecipeError
from auralign.records import Records, Target, Utterance
from auralign.run_folder import ALL_SPLITS, RunFolder

NOT_YET = "(written by the LLM in stage 2)"


def show(run: RunFolder, utt_id: str | None) -> None:
    """Print the views of one utterance's examples: pieces, ids, positions, tags and loss mask.

    Raises RecipeError if no manifest of the run has the utterance.
    """
    from auralign.models.build import build_llm

    split, utterance = _find_utterance(run, utt_id)
    _, renderer = build_llm(run.recipe)
    print(f"utterance {utterance.id} ({split}, {utterance.seconds:.2f} s): {utterance.text!r}")
    for number, (choice, target) in enumerate(_examples(run, split, utterance)):
        layout = lay_out(run.recipe.method, utterance, choice, target)
        print(f"\nexample {number}: task {choice.task!r}, instruction {choice.instruction!r}")
        for name, view in (("student", layout.student), ("teacher", layout.teacher)):
            print(
                f"  {name} view"
                + (": what is trained" if name == "student" else ": what the original LLM reads")
            )
            _print_view(renderer, view)


def _find_utterance(run: RunFolder, utt_id: str | None):
    manifests = {split: run.data.manifest(split) for split in ALL_SPLITS}
    for split, path in manifests.items():
        if path.is_file():
            manifest = Records(path, Utterance)
            if utt_id is None and len(manifest):
                return split, manifest[0]
            if utt_id is not None and utt_id in manifest:
                return split, manifest[utt_id]
    if utt_id is None:
        raise RecipeError(f"no manifest in {run.data.folder}; run stage 1 (prepare) first")
    raise RecipeError(f"no utterance {utt_id!r} in {', '.join(map(str, manifests.values()))}")


def _examples(run: RunFolder, split: str, utterance):
    """Each choice with its target: that on disk if it was made for just this choice, or what the corpus holds, or a stand-in."""
    from auralign.generate.targets import draw_choices

    method, path = run.recipe.method, run.targets(split)
    records = Records(path, Target) if path.is_file() else ()
    found = [target for target in records if target.utt_id == utterance.id]
    for choice in draw_choices(method, utterance, run.recipe.seed):
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
        loss = "yes" if view.response is not None and piece.tag == view.response.tag else ""
        print(
            f"    {span:>13}  {piece.tag:<12}{loss:<6}{renderer.tokenizer.decode(piece.ids)!r} {list(piece.ids)}"
        )
        place = end
