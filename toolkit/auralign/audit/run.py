"""The audit as a whole: read the targets, estimate the cost, read a sample with the LLM, and compare with the limits."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from auralign.audit.cost import Cost, estimate
from auralign.audit.examples import Example, Source, draw, is_foreign, own_source
from auralign.audit.foreign import foreign_source
from auralign.audit.summary import LONGEST, Audit, find_worst, group_by_instruction, measure
from auralign.audit.surprise import read_surprises
from auralign.audit.texts import Texts, content_spans, swap_word
from auralign.files import PathLike
from auralign.layout import DEFAULT, System
from auralign.records import Records, Utterance, shorten
from auralign.run_folder import RECIPE, RunFolder

SAMPLE = 1000  # targets that the LLM reads
BEYOND = "targets are longer than the LLM's context and were not read by it"


def audit(
    targets: PathLike,
    *,
    llm: PathLike | None = None,
    manifest: PathLike | None = None,
    tests: Sequence[PathLike] = (),
    form: str | None = None,
    columns: Mapping[str, str] | None = None,
    attributes: Mapping[str, str] | None = None,
    system: System | str | None = DEFAULT,
    drawn: bool = False,
    sample: int = SAMPLE,
    seed: int = 1,
    limits: Mapping[str, float | None] | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    trust_remote_code: bool = False,
    overrides: Mapping[str, Any] | None = None,
    tell: Callable[[Cost], None] | None = None,
) -> Audit:
    """Audit a set of targets.

    Arguments
    ---------
    targets : path
        A file of targets that stage 2 wrote, a run's folder or its YAML (its training targets), or rows of targets that were
        written elsewhere (`auralign.audit.foreign`).
    llm : path, optional
        The LLM's folder or hub id; by default that of the run.
    manifest : path, optional
        The utterances of the targets; by default those of the run.
    tests : sequence of path, optional
        Manifests of test sets, whose sentences must not be in the targets; by default that of the run, if it is there.
    form, columns, attributes, system, drawn
        Of foreign targets: as of `auralign.audit.foreign.foreign_source`.
    sample : int
        Targets that the LLM reads, drawn at random. The measures of texts are of all targets.
    seed : int
        Of the sample and of the words that are exchanged.
    limits : mapping of str to float or None, optional
        Limits instead of the usual ones; None: no limit.
    device, dtype, trust_remote_code
        How the LLM is loaded: as of `auralign.models.llm.load_llm`.
    overrides : mapping of str, optional
        Values for keys of the run's recipe. Default: none.
    tell : callable (Cost), optional
        Called before the LLM is loaded. Default: prints the cost on stderr.

    Returns Audit.

    Raises
    ------
    FileNotFoundError : targets, manifest or LLM are not there.
    RecordError : a row is no target, or is about an utterance that is not in the manifest.
    ValueError : there are no targets, no LLM is named, or an option is not of this kind of targets.
    """
    if sample < 1:
        raise ValueError(f"--sample {sample}: give at least 1")
    run, path = _find_run(Path(targets), overrides)
    source, found_tests = _open(run, path, manifest, tests, form, columns, attributes, system, drawn)
    if llm is not None:
        named: PathLike = llm
    elif run is not None:
        named = _llm_of(run)
    else:
        raise ValueError(f"{path}: which LLM is to be trained with these targets? name it: --llm MODEL")
    texts = Texts([Records(_existing(test, "test set"), Utterance) for test in found_tests])
    examples = draw(source, sample, seed, texts.add)
    if not examples:
        raise ValueError(f"{path}: holds no targets")
    cost = estimate(examples, named)
    if tell is None:
        print(f"audit: {cost}", file=sys.stderr, flush=True)
    else:
        tell(cost)
    model, renderer = _load(run, llm, source, system, device, dtype, trust_remote_code)
    _compare_frames(source, renderer, model)
    surprises = read_surprises(
        model, [renderer.render(one.read(one.text)) for one in examples], about="audit: reading targets"
    )
    swapped = [
        (row, example, text, before)
        for row, (example, text, before) in enumerate(
            zip(examples, _swap(examples, Random(seed)), surprises, strict=True)
        )
        if text is not None and before is not None
    ]
    changed = read_surprises(
        model,
        [renderer.render(example.read(text)) for _, example, text, _ in swapped],
        about="audit: with another word",
    )
    sensitivities = {
        row: after.nll - before.nll
        for (row, _, _, before), after in zip(swapped, changed, strict=True)
        if after is not None
    }
    num_beyond = sum(
        one is None and bool(example.response) for one, example in zip(surprises, examples, strict=True)
    )
    notes = [f"{count} {note}" if count else note for note, count in source.notes.items()]
    notes += [f"{num_beyond} {BEYOND}"] * bool(num_beyond)
    if not found_tests:
        notes.append("no test set was given (--test MANIFEST), so that test text was not looked for")
    facts = {
        "targets": str(path),
        "targets_in_file": texts.num,
        "targets_read_by_the_llm": sum(one is not None for one in surprises),
        "llm": model.name,
        "llm_revision": model.revision,
        "method": _method_of(run, source),
        "test_sets": [str(test) for test in found_tests],
        "seed": seed,
    }
    read = [
        (example, one, sensitivities.get(row))
        for row, (example, one) in enumerate(zip(examples, surprises, strict=True))
        if one is not None
    ]
    if not read:
        raise ValueError(
            f"{path}: the LLM could read none of the {len(examples)} sampled targets: they are empty, or longer than its context"
        )
    return Audit(
        facts=facts,
        measures=measure(texts, read, dict(limits or {}), has_tests=bool(found_tests)),
        groups=group_by_instruction(read),
        gaps=[one.gap / one.num_tokens for _, one, _ in read],
        sensitivities=[change for _, _, change in read if change is not None],
        attributes={
            name: {"known": texts.attributes[name]["known"], "mentioned": share}
            for name, share in texts.coverage().items()
        },
        languages=dict(texts.languages.most_common()),
        shown={name.replace(" ", "_"): shorten(text, LONGEST) for name, text in texts.shown.items()},
        worst=find_worst(read),
        notes=notes,
        cost=cost,
    )


def _find_run(path: Path, overrides: Mapping[str, Any] | None) -> tuple[RunFolder | None, Path]:
    """The run that targets belong to, if it is known, and their file."""
    if path.is_dir() or path.suffix in (".yaml", ".yml"):
        run = RunFolder.open(path, overrides)
        with run.working_here():
            return run, run.targets("train").resolve()
    for folder in path.resolve().parents[1:2]:  # OUTPUT_FOLDER/targets/train.jsonl
        if path.is_file() and (folder / RECIPE).is_file() and not is_foreign(path):
            return RunFolder.open(folder, overrides), path
    return None, path


def _open(
    run: RunFolder | None,
    path: Path,
    manifest: PathLike | None,
    tests: Sequence[PathLike],
    form: str | None,
    columns: Mapping[str, str] | None,
    attributes: Mapping[str, str] | None,
    system: System | str | None,
    drawn: bool,
) -> tuple[Source, list[Path]]:
    """The targets, and the manifests of the test sets."""
    found_tests = list(map(Path, tests))
    if is_foreign(path):
        where = _existing(manifest, "manifest") if manifest is not None else None
        source = foreign_source(
            path,
            form=form,
            columns=columns,
            attributes=attributes,
            manifest=where,
            system=system,
            drawn=drawn,
        )
        return source, found_tests
    if form or columns or attributes or drawn or system is not DEFAULT:
        raise ValueError(
            f"{path}: targets of stage 2 have their own form and prompts; leave out --form, --column, --attribute, "
            "--system-prompt and --drawn"
        )
    method = None
    if run is not None:
        with run.working_here():
            method = run.recipe.method
            manifest = manifest or run.data.manifest(path.stem.partition(".")[0]).resolve()
            test = run.data.manifest("test").resolve()
        found_tests = found_tests or [test] * test.is_file()
    if manifest is None:
        raise ValueError(
            f"{path}: the transcripts are in the manifest that these targets were made from; give it: --manifest FILE"
        )
    return own_source(path, _existing(manifest, "manifest"), method), found_tests


def _existing(path: PathLike, what: str) -> Path:
    if not Path(path).is_file():
        raise FileNotFoundError(f"no {what} at {path}")
    return Path(path)


def _llm_of(run: RunFolder) -> str:
    """The LLM that a run's recipe names."""
    from auralign.recipe.models import names_of_models

    with run.working_here():
        names = names_of_models(run.recipe, "generate")
        return str(Path(names[0]).resolve()) if names and Path(names[0]).exists() else "".join(names[:1])


def _load(
    run: RunFolder | None,
    llm: PathLike | None,
    source: Source,
    system: System | str | None,
    device: str,
    dtype: str,
    trust_remote_code: bool,
) -> tuple[Any, Any]:
    """The LLM and the renderer of its prompts, as the targets' run has them."""
    from auralign.models.build import build_llm, check_device, make_renderer
    from auralign.models.llm import load_llm
    from auralign.render import Renderer

    check_device(device)
    if run is not None and llm is None:
        with run.working_here():
            model, renderer = build_llm(run.recipe)
            return model.to(device), renderer
    model = load_llm(llm, dtype=dtype, device=device, trust_remote_code=trust_remote_code)
    prompts = source.about.get("prompts") or {}
    if run is not None:
        renderer = make_renderer(
            model, run.recipe.system_prompt, run.recipe.template_options, prompts=prompts
        )
    else:
        renderer = Renderer(
            model.tokenizer,
            system=DEFAULT if source.about else system,
            template_options=prompts.get("template_options"),
            stop_ids=model.stop_ids,
            date=prompts.get("date"),
            turns="document" in prompts,
        )
    return model, renderer


def _compare_frames(source: Source, renderer: Any, model: Any) -> None:
    """Note if targets of stage 2 were written under other prompts, or by another LLM."""
    first = source.about.get("first")
    if first is None:
        return
    if first.frame_hash != renderer.frame_hash:
        source.notes["the targets were written under another prompt frame than the one that is read here"] = 0
    if first.llm_revision != model.revision:
        source.notes[f"the targets were written by {first.llm} {first.llm_revision}, another LLM"] = 0


def _method_of(run: RunFolder | None, source: Source) -> str:
    if run is not None:
        return str(run.recipe.method.name)
    first = source.about.get("first")
    return first.method if first is not None else "written elsewhere"


def _swap(examples: Sequence[Example], rng: Random) -> list[str | None]:
    """Each transcript with another content word, or None."""
    words = {one.text[start:end].lower() for one in examples for start, end in content_spans(one.text)}
    pool = sorted(words)
    return [swap_word(one.text, pool, one.response, rng) for one in examples]
