"""What the engine asks of an architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from studio.contract.plan import RunPlan
from studio.contract.receipt import EncodingReceipt
from studio.engine.base.folder import Pipeline
from studio.engine.base.offload import device_of

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Encoded:
    """Both sides of a prompt as the pipeline takes them.

    Attributes:
        arguments: keyword arguments of the pipeline's call, ``prompt_embeds`` and its kin;
            a side that the pipeline does not read is left out or None.
        clip_skip: of the encoder that made them; None where the family has none.
        receipts: tokens of the text really read; special tokens, and whatever a template
            puts around the text, are not counted (see ``TokenLedger``).
        max_sequence_length: as the encoder was given it; None where the family has none.
        said: by the libraries, while the words were read.
        sha256: of the tensors among the arguments; None until ``encode`` has seen them.
    """

    arguments: Mapping[str, Any]
    clip_skip: int | None
    receipts: tuple[EncodingReceipt, ...]
    max_sequence_length: int | None = None
    said: tuple[str, ...] = ()
    sha256: str | None = None


class EngineFamily(Protocol):
    """One architecture's way through the engine. Stateless: the pipeline holds everything.

    Reading a base from disk is the same for all of them (``loaders``).
    """

    def probe(self, pipeline: Pipeline) -> tuple[torch.Tensor, ...]:
        """Outputs on small fixed inputs: each text encoder's, and last the denoiser's.

        Every layer that reads words or denoises takes part, no random state is touched, and
        equal weights give equal bits. An encoder's layers that look at pictures (Qwen-Image's
        vision tower) take no part: no picture is sent through them.
        """
        ...

    def encode(self, pipeline: Pipeline, plan: RunPlan, references: Sequence[Image]) -> Encoded:
        """Encode ``plan.prompt.text`` and ``.negative_text`` to the letter.

        Where guidance needs the negative side, it is encoded though it is empty: what is
        encoded then is the empty text, or what else the base takes for none (SDXL: zeros).

        Args:
            references: the plan's reference images (RGB, in its order), for encoders that
                look at them.

        Raises:
            ContractBroken: the encoder would leave out words that the plan says are read.
            PromptRefused: the text cannot be read.
        """
        ...

    def arguments(self, plan: RunPlan, references: Sequence[Image]) -> dict[str, Any]:
        """The pipeline call's keyword arguments for guidance and reference images, and what
        else is its own; ``true_cfg_scale`` among them where the plan has one."""
        ...

    def guidance_used(self, pipeline: Pipeline, plan: RunPlan, passes: int) -> float:
        """The guidance scale as the pipeline holds it after the run, in the plan's convention.

        Args:
            passes: the denoiser's calls in each step, as counted from outside: what a
                pipeline does not keep as a number shows there.

        Raises:
            ContractBroken: the run was not guided as the plan says.
        """
        ...

    def latents_by_place(
        self, pipeline: Pipeline, latents: torch.Tensor, width: int, height: int
    ) -> torch.Tensor:
        """The first of a batch of unfinished latents as (channels, rows, columns).

        Args:
            width, height: of the picture, in pixels.
        """
        ...

    def latents_of(self, pipeline: Pipeline, pixels: torch.Tensor) -> torch.Tensor:
        """Pictures (count, 3, height, width; -1 to 1) as latents (count, channels, …, …),
        scaled as the denoiser reads them and laid out as by ``latents_by_place``."""
        ...


def shifted_latents(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    """The mean of what ``vae`` makes of ``pixels``, shifted and scaled as the denoisers of FLUX.1,
    Stable Diffusion 3 and Z-Image read it."""
    latents = vae.encode(pixels.to(device_of(vae), vae.dtype)).latent_dist.mean
    moved: torch.Tensor = (latents - vae.config.shift_factor) * vae.config.scaling_factor
    return moved
