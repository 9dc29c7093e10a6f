"""Build the model that a recipe's YAML names."""

import functools
import inspect
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import torch

from auralign.data.frames import made_of
from auralign.fingerprint import check_unchanged, describe, hash_files, own_files, same
from auralign.layout import DEFAULT, STUDENT
from auralign.models.builds import RECORD, compare_bases
from auralign.models.llm import ALL, Decoding, load_llm
from auralign.models.speech_llm import Branch, SpeechLLM
from auralign.names import canonical
from auralign.render import Renderer, describe_change, describe_conversation_change
from auralign.render.renderer import today
from auralign.run_folder import RunFolder

MAX_DAYS = 730  # how far back the date is searched if prompts did not record it


def build_llm(recipe, *, prompts: dict | None = None):
    """The frozen LLM on the recipe's device, and the renderer of its prompts.

    `prompts` is the record (`Renderer.describe`) of the prompts to repeat; default: the record of the recipe's own run, if any.
    From now on numbers below 1e-38 count as 0 in this process on processors that can flush them.

    Raises RecipeError if the recipe names a class or argument that does not exist, ValueError if the device does not exist.
    """
    # An Intel processor takes a hundred times as long for denormal numbers, which gradients have many of once a loss is small: a
    # step of wav2prompt on digits took 8 times as long. Here, before torch starts threads, which take over what this one does.
    torch.set_flush_denormal(True)
    run = RunFolder(recipe)
    recipe = run.recipe  # models of the hub at the commits of the run
    recipe.check_constructors()
    check_device(recipe.device)
    options: dict = {"trust_remote_code": True} if recipe.trust_remote_code else {}
    shards = recipe.shard_llm and _num_ranks() > 1
    if (
        getattr(recipe.llm, "func", recipe.llm) is load_llm and not shards
    ):  # the probe tries it where it will run
        options["device"] = recipe.device
    llm = construct("llm", recipe.llm, **options)
    if shards:
        _check_can_shard(recipe)
        llm.shard(recipe.device)
    llm.to(recipe.device)
    llm.batch_invariant = recipe.batch_invariant
    run.tell_moved_models()
    prompts = prompts or run.prompts()
    options = {"prompts": prompts, "turns": recipe.method.needs.turns}
    return llm, make_renderer(llm, recipe.system_prompt, recipe.template_options, **options)


def _num_ranks() -> int:
    """Of a training that torchrun started."""
    joined = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if joined else 1


def _check_can_shard(recipe) -> None:
    """Raise ValueError if the recipe trains the LLM, or its loss reads layers inside it."""
    trained = "train_llm" if recipe.train_llm else "lora" if recipe.lora is not None else None
    if trained:
        raise ValueError(
            f"shard_llm: {trained} trains weights of the layers; only a frozen LLM can be shared out"
        )
    if recipe.method.needs.layers or STUDENT not in recipe.method.needs.llm_views:
        raise ValueError(
            f"shard_llm: the method {recipe.method.name!r} reads hidden states inside the LLM, not those of its last layer; "
            "leave shard_llm out"
        )


def prompts_of(description: dict) -> dict:
    """The record of the prompts in a checkpoint's description, or in a model folder's."""
    parts = description.get("trained_with", description)
    return description.get("prompts") or {"frame_hash": parts["frame_hash"]}


def construct(key: str, constructor, *args, **options):
    """Call a YAML's `!name:` constructor. Raises ValueError if it does not take the arguments."""
    try:
        inspect.signature(constructor).bind(*args, **options)
    except (TypeError, ValueError) as error:  # ValueError: a partial binds an unknown argument
        made = getattr(constructor, "func", constructor)
        raise ValueError(
            f"{key}: {_name(made)} does not take the arguments of the YAML: "
            f"{getattr(constructor, 'keywords', {})} ({error}); it takes {inspect.signature(made)}"
        ) from error
    try:
        made = constructor(*args, **options)
    except TypeError as error:  # such as a word instead of a number
        raise ValueError(
            f"{key}: cannot be built with the arguments of the YAML, {getattr(constructor, 'keywords', {})} ({error})"
        ) from error
    if hasattr(constructor, "keywords"):
        check_unchanged(constructor)
    return made


def _name(made) -> str:
    return canonical(f"{made.__module__}.{made.__qualname__}")


def construct_encoder(key: str, constructor):
    """`construct` for a speech encoder. If its class is not part of auralign, the attribute `made_of` records constructor and
    source, as an edited encoder computes other frames.

    Raises ValueError if the encoder has no `fingerprint`.
    """
    encoder = construct(key, constructor)
    kind = type(encoder)
    fingerprint = getattr(encoder, "fingerprint", None)
    if not isinstance(fingerprint, str) or not fingerprint:
        raise ValueError(
            f"{key}: {_name(kind)} has no fingerprint, so that its cached frames could be confused "
            "with those of another: at the end of its __init__ write self.fingerprint = hash_value([...]), of auralign.files, "
            "with everything that its frames depend on: hash_path(path) of its weights, and its options"
        )
    files = own_files(getattr(constructor, "func", constructor)) | own_files(kind)
    if files:
        encoder.made_of = {"constructor": describe(constructor), "source": hash_files(files)}
    return encoder


def check_device(name: str) -> None:
    """Raise ValueError if torch has no such device."""
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device {name!r}: {str(error).splitlines()[0]}; use cpu"
            + "".join(f", cuda:{number}" for number in range(torch.cuda.device_count()))
        ) from error


def make_renderer(
    llm,
    system_prompt: str | None,
    template_options: dict,
    *,
    prompts: dict | None = None,
    turns: bool = False,
) -> Renderer:
    """The renderer of an LLM's prompts; the system prompt "default" is the template's own.

    A template that prints the date prints the date that `prompts` (`Renderer.describe`) records. Older files record only the
    frame's hash: the date with that hash is then searched. Prompts of an earlier auralign are repeated with the system block that
    it did not cut out. Conversations and documents count in its hash if `turns` is True, or if they did in `prompts`.
    """
    prompts = prompts or {}
    system = DEFAULT if system_prompt == "default" else system_prompt
    renderer = Renderer(
        llm.tokenizer,
        system=system,
        template_options=template_options,
        stop_ids=llm.stop_ids,
        date=prompts.get("date"),
        turns=turns or "document" in prompts,
    )
    wanted = prompts.get("frame_hash", renderer.frame_hash)
    if renderer.frame_hash == wanted:
        return renderer
    dated: Iterable[Renderer] = [renderer]
    if "date" not in prompts and renderer.date is not None:
        dated = (renderer.on(today() - timedelta(days=days)) for days in range(MAX_DAYS))
    others = (other for one in dated for other in (one, one.keeping_system()))
    return next((one for one in others if one.frame_hash == wanted), renderer)


def build_decoding(recipe) -> Decoding:
    """The decoding options of stage 4."""
    return Decoding(
        max_new_tokens=recipe.decode_max_new_tokens,
        tokens_per_second=recipe.decode_tokens_per_second,
        num_beams=recipe.decode_num_beams,
        stop_strings=tuple(recipe.decode_stop_strings),
    )


def build_optimizer(recipe, parameters):
    """The optimizer of some parameters, and the schedule of its learning rate.

    The optimizer gets `lr` and `weight_decay` if its entry in the YAML does not set them; the schedule gets
    `num_warmup_steps` and `num_training_steps` if it takes them.

    Raises ValueError if the optimizer takes no weight decay and the recipe names one.
    """
    taken = inspect.signature(recipe.optimizer.func).parameters
    options = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    if "weight_decay" not in taken and recipe.weight_decay == 0:
        del options["weight_decay"]
    given = {name: value for name, value in options.items() if name not in recipe.optimizer.keywords}
    optimizer = construct("optimizer", recipe.optimizer, parameters, **given)
    steps = {"num_warmup_steps": recipe.num_warmup_steps, "num_training_steps": recipe.num_steps}
    taken = inspect.signature(recipe.lr_scheduler.func).parameters
    given = {
        name: value
        for name, value in steps.items()
        if name in taken and name not in recipe.lr_scheduler.keywords
    }
    return optimizer, construct("lr_scheduler", recipe.lr_scheduler, optimizer, **given)


BRANCH = ("encoder", "connector")
SOURCE_OF = "source of the encoder of "
BRANCH_OF = "branch "
BOOK_OF = "book "


def build_model(recipe, *, prompts: dict | None = None):
    """The SpeechLLM, its trained parts initialised with the recipe's seed, and the renderer of its prompts (see `build_llm`).

    Raises ValueError if `branches`, `heads`, `books` or `frozen` do not fit the model or the method.
    """
    llm, renderer = build_llm(recipe, prompts=prompts)
    recipe = RunFolder(recipe).recipe
    encoder = construct_encoder("encoder", recipe.encoder).to(recipe.device)
    torch.manual_seed(recipe.seed)
    connector = construct("connector", recipe.connector, encoder.width, llm.width).to(recipe.device)
    if recipe.lora is not None:
        llm.add_lora(construct("lora", recipe.lora), scope=recipe.lora_scope)
    if recipe.train_llm:
        if recipe.lora is not None:
            raise ValueError(
                "train_llm and lora: train either the LLM's own weights or adapters; leave one out"
            )
        llm.unfreeze()
    if recipe.lora is None and recipe.lora_scope != ALL:
        raise ValueError(
            f"lora_scope {recipe.lora_scope}: the recipe has no lora; give its config, or leave lora_scope out"
        )
    branches = {name: _build_branch(name, parts, llm) for name, parts in recipe.branches.items()}
    linear = functools.partial(torch.nn.Linear, bias=recipe.method.needs.head_bias)
    heads = {
        name: construct(f"heads: {name}", recipe.heads.get(name, linear), llm.width, num_outputs)
        for name, num_outputs in recipe.method.needs.heads.items()
    }
    books = {
        name: construct(f"books: {name}", constructor, llm.width)
        for name, constructor in recipe.books.items()
    }
    for book in books.values():
        book.begin_near(llm.mean_embedding.cpu())
    unused = [name for name in recipe.heads if name not in heads]
    if unused:
        raise ValueError(
            f"heads: the method {recipe.method.name!r} does not use {unused[0]!r}; it needs {', '.join(heads) or 'none'}"
        )
    model = SpeechLLM(
        encoder, connector, llm, branches=branches, heads=heads, books=books, frozen=recipe.frozen
    )
    needs, name = recipe.method.needs, recipe.method.name
    if needs.num_tokens and not getattr(connector, "counts_tokens", False):
        raise ValueError(
            f"the method {name!r} needs a connector that returns a given number of embeddings; {type(connector).__name__} "
            "does not (counts_tokens): use ContinuousIntegrateAndFire or CountedQFormer of auralign.models.connectors"
        )
    if not len(model.trained_parts):
        raise ValueError(
            f"frozen: {', '.join(model.frozen)} are all parts of this model; nothing is left to train"
        )
    if model.frozen and recipe.init_from is None:
        raise ValueError(
            f"frozen: {model.frozen[0]} would keep its random initial weights; name the run that trained it: init_from"
        )
    return model.to(recipe.device), renderer


def _build_branch(name: str, parts, llm) -> Branch:
    if not isinstance(parts, dict) or set(parts) != set(BRANCH):
        raise ValueError(f"branches: {name}: give it an encoder and a connector, each a !name: constructor")
    encoder = construct_encoder(f"branches: {name}: encoder", parts["encoder"])
    return Branch(
        encoder, construct(f"branches: {name}: connector", parts["connector"], encoder.width, llm.width)
    )


def build_recognizer(recipe, encoder):
    """The recognizer of the encoder's own transcripts from its frames, on the recipe's device; None if the recipe names none.

    A recognizer that takes `width`, `hidden_width`, `chunk_seconds` or `suits_decoder` gets the encoder's: frames do not show
    them all.
    """
    if not recipe.recognizer:
        return None
    made = getattr(recipe.recognizer, "func", recipe.recognizer)
    taken = inspect.signature(made).parameters
    options = {name: getattr(encoder, name) for name in ("width", "chunk_seconds") if name in taken}
    if "hidden_width" in taken:
        options["hidden_width"] = getattr(encoder, "hidden_width", None)
    if "suits_decoder" in taken:
        options["suits_decoder"] = getattr(encoder, "suits_decoder", True)
    recognizer = construct("recognizer", recipe.recognizer, **options)
    return recognizer.to(recipe.device) if isinstance(recognizer, torch.nn.Module) else recognizer


def check_recognizer(recipe, encoder) -> None:
    """Build the recipe's recognizer, if it names one, and let it read a second of empty frames: what does not fit the encoder,
    such as a head for frames of another width, is found before training and not in stage 4.

    Raises ValueError if it cannot be built, or cannot read the encoder's frames.
    """
    recognizer = build_recognizer(recipe, encoder)
    if recognizer is None or own_encoder(recognizer) is not None:
        return
    num_frames = encoder.num_frames(encoder.sample_rate)
    frames = torch.zeros(1, num_frames, encoder.width, device=recipe.device)
    try:
        recognizer.transcribe(frames, torch.tensor([num_frames], device=recipe.device))
    except Exception as error:  # of whatever kind a user's own recognizer raises
        raise ValueError(
            f"recognizer: {_name(type(recognizer))} cannot read the encoder's frames, {num_frames} of width {encoder.width} in a "
            f"second ({type(error).__name__}: {error}); use the recognizer of this encoder, or leave `recognizer` out"
        ) from error


def own_encoder(recognizer):
    """The recognizer's own encoder; None if it reads the frames of the recipe's encoder, as most do."""
    return getattr(recognizer, "encoder", None)


def describe_parts(recipe, model: SpeechLLM, renderer: Renderer) -> dict:
    """The record of the parts that a checkpoint was trained with; the same parts are required when it is used."""
    method = recipe.method
    parts = {
        "llm": model.llm.revision,
        "frame_hash": renderer.frame_hash,
        "encoder": model.encoder.fingerprint,
        "connector": describe(recipe.connector),
        "lora": describe(recipe.lora),
        "method": f"{method.name} {method.version}",
    }
    # Rare parts are recorded only if the recipe has them, so that the records of other recipes do not change.
    for name, branch in model.branches.items():
        parts[f"branch {name}"] = [branch.encoder.fingerprint, describe(recipe.branches[name]["connector"])]
    for name, encoder in model.encoders.items():
        if made_of(encoder):
            parts[f"{SOURCE_OF}{name}"] = made_of(encoder)["source"]
    if recipe.lora is not None:
        parts["lora_scope"] = recipe.lora_scope
    if recipe.train_llm:
        parts["train_llm"] = True
    for name in model.books:
        parts[f"{BOOK_OF}{name}"] = describe(recipe.books[name])
    if model.frozen:
        parts["frozen"] = list(model.frozen)
    return {"llm_name": model.llm.name, "trained_with": parts, "prompts": renderer.describe()}


def revisions_of(trained_with: dict) -> dict[str, str]:
    """Part -> revision of the LLM and the encoders in a record of `describe_parts`."""
    found = {name: trained_with[name] for name in ("llm", "encoder") if name in trained_with}
    branches = {name: value for name, value in trained_with.items() if name.startswith(BRANCH_OF)}
    return found | {name: revision for name, (revision, _) in branches.items()}


def check_parts(description: dict, parts: dict, *, checkpoint, model=None, exact: str = "") -> None:
    """Raise ValueError if the description of the checkpoint (a path) names other parts than the recipe builds.

    Another build of the LLM or the encoders of `model` is told on stderr, unless `exact` names what the very weights are needed
    for; see `auralign.models.builds.compare_bases`. Without the model revisions are compared as texts.
    """
    recorded, built = dict(description["trained_with"]), dict(parts["trained_with"])
    if model is not None:
        record = Path(checkpoint).parent / RECORD
        compare_bases(revisions_of(recorded), model, record, what=checkpoint, exact=exact)
        for name in revisions_of(built):  # compared; a branch has a connector too
            for side in (recorded, built):
                if name in side:
                    side[name] = side[name][1:] if name.startswith(BRANCH_OF) else None
    for name in {**recorded, **built}:
        if name.startswith(SOURCE_OF) and name not in recorded:
            continue  # the checkpoint is of an earlier auralign
        if not same(recorded.get(name), built.get(name)):
            change = (
                describe_change(description.get("prompts"), parts.get("prompts"))
                if name == "frame_hash"
                else ""
            )
            raise ValueError(
                f"{checkpoint}: trained with {name} {recorded.get(name)!r}, the recipe builds {built.get(name)!r}{change}; "
                "use the parts that it was trained with, or train again, in another output_folder or with --restart"
            )
    change = describe_conversation_change(description.get("prompts"), parts.get("prompts"))
    if change:
        raise ValueError(
            f"{checkpoint}: trained with a chat template that writes several turns otherwise{change}; use the LLM that it was "
            "trained with, or train again, in another output_folder or with --restart"
        )
