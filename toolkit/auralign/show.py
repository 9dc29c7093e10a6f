"""Print one example as the model reads it: `auralign show`."""

from auralign.layout import Response, Speech
from auralign.method import lay_out, respond
from auralign.publish.native.architectures import ARCHITECTURES, find_obstacles
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
    llm, renderer = build_llm(run.recipe)
    kind = "document" if utterance.is_document else "utterance"
    length = "" if utterance.is_document else f", {utterance.seconds:.2f} s"
    print(f"{kind} {utterance.id} ({split}{length}): {utterance.text!r}")
    for name in utterance.others:
        other = utterance.other(name)
        print(f"  other {name} ({other.seconds:.2f} s): {other.text!r}")
    for number, (choice, target) in enumerate(_examples(run, split, utterance)):
        layout = lay_out(run.recipe.method, utterance, choice, target)
        print(f"\nexample {number}: task {choice.task!r}, instruction {choice.instruction!r}")
        for name, view in (("student", layout.student), ("teacher", layout.teacher)):
            print(
                f"  {name} view"
                + (": what is trained" if name == "student" else ": what the original LLM reads")
            )
            _print_view(renderer, view)
    fitting = [name for name, one in ARCHITECTURES.items() if not find_obstacles(one, run.recipe, llm)]
    print(f"\ncan be exported as: {', '.join(['a model folder', *fitting])}")
    if len(fitting) < len(ARCHITECTURES):
        others = ", ".join(name for name in ARCHITECTURES if name not in fitting)
        print(f"  (auralign export RUN FOLDER --as NAME says what is in the way of {others})")


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
            yield choice, Response.of(target)
        elif not method.needs.target:
            yield choice, Response("", finished=False)
        else:
            yield choice, Response(respond(method, utterance, choice) or NOT_YET)


def _print_view(renderer, view) -> None:
    rendered = renderer.render(view)
    names = iter(
        "n" if len(rendered.speech) == 1 else f"n{number}" for number in range(1, len(rendered.speech) + 1)
    )
    texts = iter(segment.text for segment in view.contents if isinstance(segment, Speech))
    position, speech = 0, ""  # positions after speech are known except for its length
    print(f"    {'positions':>13}  {'tag':<12}{'loss':<6}what")
    for piece in rendered.pieces:
        if piece.is_speech:
            name, part = next(names), ""
            if piece.span != (0.0, 1.0):
                part = " from {:.0%} to {:.0%} of it".format(*piece.span)
            whose = f" of {piece.of!r}" if piece.of else ""
            what = f"<{name} embeddings{whose} through {piece.branch!r}{part}, for {next(texts)!r}>"
            print(f"    {f'{speech}{position}..+{name}':>13}  {piece.tag:<12}{'':<6}{what}")
            speech = f"{speech}{name}+"
            continue
        end = position + len(piece.ids)
        span = f"{speech}{position}..{end - 1}" if piece.ids else "none"
        loss = "yes" if view.response is not None and piece.tag == view.response.tag else ""
        print(
            f"    {span:>13}  {piece.tag:<12}{loss:<6}{renderer.tokenizer.decode(piece.ids)!r} {list(piece.ids)}"
        )
        position = end
