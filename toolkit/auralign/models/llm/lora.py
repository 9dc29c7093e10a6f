"""LoRA: adapters beside the frozen weights of an LLM, at all positions or at those of speech alone.

Axes: B batch, N positions, D width.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

SCOPES = ALL, SPEECH = ("all", "speech")  # positions that LoRA adapts
LORA_FIELDS = (
    "r", "lora_alpha", "lora_dropout", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
    "rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "fan_in_fan_out", "bias", "lora_bias",
)  # fmt: skip
LORA_STARTS = (True, False, "gaussian", "orthogonal")  # others, such as pissa, write to the frozen weights
LORA_NOTES = (
    "task_type",
    "inference_mode",
    "peft_type",
    "peft_version",
    "base_model_name_or_path",
    "init_lora_weights",
)


class Adapters:
    """The LoRA adapters of a model (arXiv:2106.09685), which peft puts beside its weights.

    This is not an `nn.Module`: the adapters are registered in the model already.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        Its weights stay frozen; peft replaces the layers that get an adapter.
    config : peft.LoraConfig
    scope : str
        One of `SCOPES`. "speech" adapts the positions of speech alone, so that text is read as by the unadapted LLM (Partial
        LoRA, arXiv:2401.16420, as in BLSP-KD, arXiv:2405.19041).
    name : str
        The LLM's name, for error messages.

    Attributes
    ----------
    modules : nn.ModuleDict
        The adapters by module of the LLM, in fp32 also beside a bf16 LLM: their steps are small.
    positions : torch.Tensor (B, N) of bool, or None
        Which positions are adapted now; None if the scope is all positions.

    Raises ValueError if the config names no module of this LLM, would train or change the LLM's own weights, has options
    beyond `LORA_FIELDS`, or has options that the scope cannot be combined with.
    """

    def __init__(self, model, config, *, scope: str = ALL, name: str):
        from peft import inject_adapter_in_model

        lora_options(config.to_dict())
        self._model, self._name = model, name
        # By peft itself: transformers' own functions for adapters refuse versions of peft that are not out yet.
        inject_adapter_in_model(config, model)
        parts = {
            layer_name.replace(".", "/"): nn.ModuleDict(
                {kind: child for kind, child in layer.named_children() if kind != "base_layer" and len(child)}
            )
            for layer_name, layer in self._layers()
        }
        self.modules = nn.ModuleDict(parts).float()
        self.positions: torch.Tensor | None = None
        adapters = set(map(id, self.modules.parameters()))
        others = [key for key, p in model.named_parameters() if p.requires_grad and id(p) not in adapters]
        if others:
            raise ValueError(f"lora: would train {others[0]} itself; leave out bias and modules_to_save")
        if scope == SPEECH:
            self._limit_to_speech(config)

    def _layers(self) -> list[tuple[str, nn.Module]]:
        """(name, layer) of the layers by which peft replaced those of the LLM."""
        from peft.tuners.tuners_utils import BaseTunerLayer

        return [
            (name, layer) for name, layer in self._model.named_modules() if isinstance(layer, BaseTunerLayer)
        ]

    def _limit_to_speech(self, config) -> None:
        from peft.tuners.lora.layer import ParamWrapper

        if any(isinstance(layer, ParamWrapper) for _, layer in self._layers()):
            raise ValueError(
                "lora_scope speech: not on experts, whose weights are one tensor; name other modules in target_modules"
            )
        if config.use_dora or any("lora_embedding" in name for name, _ in self._model.named_parameters()):
            raise ValueError(
                "lora_scope speech: not with use_dora, nor on embeddings, which speech does not pass"
            )

        def drop_text(module, inputs, output):
            return output.masked_fill(~self._positions_of(output), 0.0)

        for name, module in self._model.named_modules():
            if name.rpartition(".")[0].endswith("lora_B"):
                module.register_forward_hook(drop_text)
        self.positions = torch.zeros(1, 1, dtype=torch.bool)

    def _positions_of(self, output: torch.Tensor) -> torch.Tensor:
        """Which positions of a layer's output (B, N, D) are adapted: (B, N, 1) or (1, 1, 1)."""
        if output.dim() != 3:
            raise ValueError(
                f"lora_scope speech: a module of {self._name} takes positions apart; leave it out of target_modules"
            )
        mask = self.positions.to(output.device)
        if output.shape[1] != mask.shape[1]:  # of tokens that the LLM itself wrote: text
            return mask.new_zeros(1, 1, 1)
        return mask.repeat_interleave(len(output) // len(mask), 0).unsqueeze(-1)  # by beams

    @contextlib.contextmanager
    def adapting(self, positions: torch.Tensor | None) -> Iterator[None]:
        """Context manager: if the scope is speech, adapt these positions (B, N): true for speech."""
        if self.positions is None:
            yield
            return
        before, self.positions = self.positions, positions
        try:
            yield
        finally:
            self.positions = before

    def merge(self) -> None:
        """Add the adapters to the weights beside them, for good.

        Raises ValueError if their scope is speech, as no weights serve text and speech.
        """
        if self.positions is not None:
            raise ValueError("lora_scope speech: the adapters cannot be merged, as text is read without them")
        for _, layer in self._layers():
            layer.merge()

    @contextlib.contextmanager
    def disabled(self) -> Iterator[None]:
        """Context manager: the model runs without its adapters."""
        learn = [(parameter, parameter.requires_grad) for parameter in self.modules.parameters()]
        layers = [layer for _, layer in self._layers() if not layer.disable_adapters]
        for layer in layers:
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in layers:
                layer.enable_adapters(True)
            for parameter, learns in learn:  # peft lets all of them learn again
                parameter.requires_grad_(learns)


def lora_options(values: dict) -> dict:
    """The fields of a peft.LoraConfig that shape its adapters, as JSON: all that a model folder may name.

    Raises ValueError on others that are not at their default: by them peft would change frozen weights, import modules or
    read files.
    """
    from peft import LoraConfig

    usual = LoraConfig().to_dict()
    others = [
        name
        for name, value in values.items()
        if name not in (*LORA_FIELDS, *LORA_NOTES) and value != usual.get(name)
    ]
    start = values.get("init_lora_weights", True)
    if others or start not in LORA_STARTS:
        raise ValueError(
            f"lora: auralign does not take {', '.join(others) or f'init_lora_weights {start!r}'}; it takes "
            f"{', '.join(LORA_FIELDS)}, and init_lora_weights of {', '.join(map(repr, LORA_STARTS))}"
        )
    chosen = {name: values[name] for name in LORA_FIELDS if name in values}
    return {name: sorted(value) if isinstance(value, set) else value for name, value in chosen.items()}
