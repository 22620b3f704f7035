"""One base of any pipeline class, with at most one LoRA, as resolve sees them: no disk."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studio.architecture import PIPELINES, TRAITS, Architecture, Mode
from studio.contract.base import FileIdentity
from studio.contract.plan import RunPlan
from studio.contract.prompt import TokenCounter
from studio.contract.request import GenerationRequest, LoraChoice, ReferenceImage
from studio.contract.violations import Violation
from studio.presets import Catalog, LoraPreset, ModelPreset, ModelSettings
from studio.resolve import Runtime, resolve
from studio.resolve.inventory import BaseWeights, Inventory, LoraWeights
from studio.resolve.memory import MemoryRules
from tests.support.world import BASE_SHAPES, CROSS_ATTENTION, lora_weights

AROUND = 12
"""Tokens that these worlds' encoders need beside a text."""
PICTURE = ReferenceImage(sha256="f" * 64, width=512, height=384)


def architecture_of(pipeline: str) -> Architecture:
    return next(key for key, each in TRAITS.items() if PIPELINES[pipeline] in each.pipelines)


def letters(text: str) -> list[tuple[int, int]]:
    """One token a letter, blanks left out."""
    return [(place, place + 1) for place, letter in enumerate(text) if not letter.isspace()]


WIDTH = 96
"""Features that the cross-attention reads: as in no family, so that any may be asked about."""
SHAPES = BASE_SHAPES | {
    "unet": BASE_SHAPES["unet"] | {f"{CROSS_ATTENTION}.to_k.weight": (64, WIDTH)}
}


@dataclass(frozen=True, slots=True)
class World:
    """Resolve's arguments; ``model`` and ``lora`` change fields of the presets.

    Attributes:
        file: the LoRA's weights, of which those that fit wholly stand in.
        controls: what its encoders read as signals.
        memory: what there is of it; None where nobody looked.
        stored: what its UNet is stored in.
    """

    pipeline: str
    model: dict[str, Any] = field(default_factory=dict)
    lora: dict[str, Any] | None = None
    file: LoraWeights | None = None
    ignores_guidance: bool = False
    device: str = "auto"
    controls: tuple[str, ...] = ()
    loras: tuple[LoraPreset, ...] = ()
    memory: MemoryRules | None = None
    stored: str = "F32"

    def resolve(self, **asked: Any) -> RunPlan | tuple[Violation, ...]:
        edits = PIPELINES[self.pipeline].modes == {Mode.REFERENCE_EDIT}
        values: dict[str, Any] = {
            "base": "base",
            "mode": Mode.REFERENCE_EDIT if edits else Mode.BASE,
            "references": (PICTURE,) if edits else (),
            "prompt": "a rocket",
            "seed": 1,
        }
        if self.lora is not None:
            values["loras"] = (LoraChoice(slug="ink"),)
        loras = () if self.lora is None else (self._lora(),)
        return resolve(
            GenerationRequest(**(values | asked)),
            Catalog((self._model(),), (*loras, *self.loras)),
            self._inventory(),
            self._runtime(),
        )

    def plan(self, **asked: Any) -> RunPlan:
        made = self.resolve(**asked)
        assert isinstance(made, RunPlan), [item.describe() for item in made]
        return made

    def violations(self, **asked: Any) -> dict[str, Violation]:
        made = self.resolve(**asked)
        assert not isinstance(made, RunPlan)
        return {item.code: item for item in made}

    def notices(self, **asked: Any) -> dict[str, str]:
        return {notice.code: notice.text for notice in self.plan(**asked).notices}

    def _model(self) -> ModelPreset:
        flow = TRAITS[architecture_of(self.pipeline)].flow_matching
        settings = {
            "steps": 8,
            "guidance_scale": 4.0,
            "default_width": 512,
            "default_height": 512,
            "scheduler": "FlowMatchEulerDiscreteScheduler" if flow else "DDIMScheduler",
            "dtype": "bfloat16",
        }
        return ModelPreset(
            slug="base",
            label="The Base",
            path="base",
            pipeline=self.pipeline,
            base_architecture=architecture_of(self.pipeline),
            settings=ModelSettings(**(settings | self.model)),
        )

    def _lora(self) -> LoraPreset:
        entry = {
            "slug": "ink",
            "label": "Ink",
            "base_architecture": architecture_of(self.pipeline),
            "path": "ink.safetensors",
            "prompt": "phrsink",
            "trigger": "required",
        }
        return LoraPreset(**(entry | (self.lora or {})))

    def _inventory(self) -> Inventory:
        base = BaseWeights(
            path=Path(),
            files=(FileIdentity(name="x", sha256="a" * 64, size=1),),
            shapes=SHAPES,
            stored={"unet": self.stored},
            ignores_guidance=self.ignores_guidance,
        )
        return Inventory(
            bases={"base": base},
            loras={} if self.lora is None else {"ink": self.file or lora_weights("b" * 64, WIDTH)},
            expected_at={slug: Path(slug) for slug in ("base", "ink")},
            references=frozenset({PICTURE.sha256}),
        )

    def _runtime(self) -> Runtime:
        encoders = TRAITS[architecture_of(self.pipeline)].text_encoders
        counter = TokenCounter(letters, AROUND, self.controls)
        counters = {"base": {each.component: counter for each in encoders}}
        return Runtime((), counters, self.memory, self.device)
