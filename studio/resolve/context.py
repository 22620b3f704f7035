"""A request joined with its presets and weights: what checks and the plan are made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from studio.architecture import TRAITS, PipelineTraits, Traits, guides, pipeline_traits
from studio.architecture.pipelines import scheduler_named
from studio.contract.origin import FloatSetting, IntSetting, Origin, Precision
from studio.contract.placement import Dtype
from studio.contract.prompt import TokenCounter
from studio.contract.request import GenerationRequest, LoraChoice, PromptEncoder
from studio.contract.settings import BY_NAME, Basis, Setting, SettingKind, Value
from studio.contract.violations import SettingConflict, SettingMissing
from studio.inspection.fit import Fit
from studio.presets import Catalog, LoraPreset, ModelPreset
from studio.resolve.fits import lora_fits
from studio.resolve.inventory import Inventory, base_hash, base_numbers, most_numbers
from studio.resolve.memory import MemoryRules, StoredWeights, computed_dtypes
from studio.resolve.precision import choose_precision

Chosen = tuple[tuple[LoraChoice, LoraPreset], ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A request whose base is known.

    Attributes:
        chosen: the known LoRAs of the request with their presets, sorted by slug.
        counters: text encoder → its token counter; empty where the base is not on disk.
        device: ``cpu``, ``cuda`` or ``mps``; as the settings name it, ``auto`` among it, where
            nobody could look.
        numbers: component → how many numbers its weights are; empty where it is not on disk.
        precision: what the base is computed in.
        dtypes: those that the device computes.
        base_sha256: one hash over the base's files; None where it is not on disk.
        fits: slug → how its file fits the base, of the applied LoRAs whose files are there,
            are LoRAs and say the base's architecture.
    """

    request: GenerationRequest
    catalog: Catalog
    inventory: Inventory
    counters: Mapping[str, TokenCounter]
    device: str
    model: ModelPreset
    traits: Traits
    chosen: Chosen
    base_sha256: str | None
    numbers: Mapping[str, int]
    precision: Precision
    dtypes: tuple[Dtype, ...]
    fits: Mapping[str, Fit] = field(repr=False)

    @classmethod
    def of(
        cls,
        request: GenerationRequest,
        model: ModelPreset,
        catalog: Catalog,
        inventory: Inventory,
        counters: Mapping[str, TokenCounter],
        memory: MemoryRules | None,
        device: str,
    ) -> "Draft":
        known = ((choice, catalog.loras.get(choice.slug)) for choice in request.loras)
        pairs = [(choice, preset) for choice, preset in known if preset is not None]
        chosen = tuple(sorted(pairs, key=lambda pair: pair[0].slug))
        applied = chosen if request.mode.applies_loras else ()
        base = inventory.bases.get(model.slug)
        traits = TRAITS[model.base_architecture]
        numbers = {} if base is None else base_numbers(base)
        weights = StoredWeights(
            numbers=sum(numbers.values()),
            dtype=None if base is None else base.stored.get(traits.denoiser),
            half=Dtype.BFLOAT16 if traits.flow_matching else Dtype.FLOAT16,
        )
        return cls(
            request=request,
            catalog=catalog,
            inventory=inventory,
            counters=counters,
            device=device if memory is None else memory.device,
            model=model,
            traits=traits,
            chosen=chosen,
            base_sha256=None if base is None else base_hash(base),
            numbers=numbers,
            dtypes=computed_dtypes(device) if memory is None else memory.dtypes,
            precision=choose_precision(
                request.settings.precision,
                memory,
                model,
                weights,
                held="precision" in request.held,
            ),
            fits=lora_fits([preset for _, preset in applied], model, inventory),
        )

    @property
    def pipeline(self) -> PipelineTraits:
        """What the base's diffusers class takes."""
        return pipeline_traits(self.model.pipeline)

    @property
    def encoder(self) -> PromptEncoder:
        """The user's choice, else the one without a limit where the base can have it."""
        if self.request.prompt_encoder is not None:
            return self.request.prompt_encoder
        return PromptEncoder.COMPEL if self.traits.compel else PromptEncoder.NATIVE

    @property
    def compel(self) -> bool:
        return self.encoder is PromptEncoder.COMPEL

    @property
    def ignores_guidance(self) -> bool:
        """Whether the base on disk says that the guidance scale changes nothing."""
        base = self.inventory.bases.get(self.model.slug)
        return base is not None and base.ignores_guidance

    @property
    def applied(self) -> Chosen:
        """The chosen LoRAs whose weights the mode switches on."""
        return self.chosen if self.request.mode.applies_loras else ()

    def basis(self, scheduler: str | None = None) -> Basis:
        """What rules of settings depend on, with this scheduler."""
        longest = self.model.settings.max_sequence_length
        return Basis(self.traits, self.pipeline, scheduler, longest)

    def choose(self, setting: Setting) -> Value | SettingConflict | SettingMissing | None:
        """The user's value, else the LoRAs', else the model's, else its default; never a silent
        one. None where the base takes none, and where only its folder could tell the scheduler
        and it is not on disk."""
        asked = getattr(self.request.settings, setting.name)
        if not setting.is_taken(self.basis()):
            return None
        if asked is not None:
            if setting.kind is SettingKind.SCHEDULER:
                asked = scheduler_named(asked, self.traits.flow_matching) or asked
            return setting.value(asked, self.asker(setting.name))
        wishes = self.wishes(setting)
        if len(set(wishes.values())) > 1:
            listed = (
                f"{self.label_of(slug)} asks for {in_words(v)}" for slug, v in wishes.items()
            )
            return SettingConflict(
                field=setting.field, name=setting.words, values=", ".join(listed)
            )
        for slug, wish in wishes.items():
            return setting.value(wish, Origin.LORA, slug)
        own = self._of_model(setting)
        if own is not None:
            # Of a file that no preset names, the numbers are those of its diffusers class.
            derived = self.model.slug in self.catalog.derived
            origin = Origin.PIPELINE if derived else Origin.MODEL
            return setting.value(own, origin, self.model.slug)
        default = setting.default(self.basis())
        if default is not None:
            return setting.value(*default)
        if setting.takes is not None or self._unread(setting):
            return None
        return SettingMissing(field=setting.field, name=setting.words, label=self.model.label)

    def asker(self, name: str) -> Origin:
        """Who says a setting that the request has."""
        return Origin.COMPARISON if name in self.request.held else Origin.USER

    def wishes(self, setting: Setting) -> dict[str, float | str]:
        """Slug → what an applied LoRA's preset asks for."""
        if not setting.of_lora:
            return {}
        asked = (
            (preset.slug, getattr(preset.settings, setting.name)) for _, preset in self.applied
        )
        return {slug: wish for slug, wish in asked if wish is not None}

    def _of_model(self, setting: Setting) -> Any:
        own = (getattr(self.model.settings, name) for name in setting.of_model)
        said = next((value for value in own if value is not None), None)
        base = self.inventory.bases.get(self.model.slug)
        if said is None and setting.kind is SettingKind.SCHEDULER and base is not None:
            return base.classes.get("scheduler")
        return said

    def _unread(self, setting: Setting) -> bool:
        """Whether the base's folder would say it, and is not on disk."""
        return (
            setting.kind is SettingKind.SCHEDULER and self.model.slug not in self.inventory.bases
        )

    @property
    def true_cfg_scale(self) -> float | None:
        """None where it is no argument beside the guidance scale."""
        chosen = self.choose(BY_NAME["true_cfg_scale"])
        return chosen.value if isinstance(chosen, FloatSetting) else None

    @property
    def sequence_length(self) -> int | None:
        """Tokens that the encoder without a fixed window reads; None where there is none."""
        chosen = self.choose(BY_NAME["max_sequence_length"])
        return chosen.value if isinstance(chosen, IntSetting) else None

    @property
    def may_take_negative(self) -> bool:
        """Whether the base takes a negative prompt at all: its class must, its preset may not."""
        refused = self.model.settings.supports_negative_prompt is False
        return self.pipeline.negative_prompt and not refused

    @property
    def takes_negative(self) -> bool:
        """Whether a negative prompt is read: where true CFG has to be on for it, it is."""
        true_cfg = self.true_cfg_scale
        return self.may_take_negative and (true_cfg is None or guides(true_cfg))

    @property
    def dtype(self) -> Dtype:
        return Dtype(self.precision.value)

    @property
    def sizes(self) -> dict[str, int]:
        """Component → bytes of the base's weights in the dtype they run in."""
        return {component: self.dtype.size * count for component, count in self.numbers.items()}

    @property
    def lora_bytes(self) -> int:
        """The most that the applied LoRAs' weights take in the dtype the base runs in."""
        files = [self.inventory.loras[preset.slug] for _, preset in self.applied]
        return sum(self.dtype.size * most_numbers(weights) for weights in files)

    def window(self, encoder: str) -> int:
        """Tokens of a text that the native encoder reads; what stands around it is left out."""
        traits = next(item for item in self.traits.text_encoders if item.component == encoder)
        length = self.sequence_length
        if length is None:
            whole = self.model.settings.token_window or traits.window
        else:
            whole = traits.window or length
        return max(0, (whole or 0) - self.counters[encoder].around)

    def label_of(self, slug: str) -> str:
        """The name people know a preset by."""
        preset = self.catalog.loras.get(slug) or self.catalog.models.get(slug)
        return slug if preset is None else preset.label


def in_words(value: float | str) -> str:
    """What a LoRA asks for, in a sentence."""
    return value if isinstance(value, str) else f"{value:g}"
