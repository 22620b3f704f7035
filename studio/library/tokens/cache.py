"""The token counters of the bases in use, each read once for as long as its files last."""

from pathlib import Path

from studio.architecture import TRAITS, Chat, Wrapped, pipeline_traits
from studio.contract.identity import FileIdentity
from studio.contract.prompt import TokenCounter
from studio.errors import WeightsError
from studio.library.tokens.counter import load_counter
from studio.presets import ModelPreset
from studio.resolve.inventory import BaseWeights

_Key = tuple[Path, tuple[FileIdentity, ...], Wrapped | Chat | None]


class Counters:
    """Counters by folder, files and what the pipeline puts around a text."""

    def __init__(self) -> None:
        self._known: dict[_Key, TokenCounter] = {}

    def of(self, base: BaseWeights, model: ModelPreset) -> dict[str, TokenCounter]:
        """Text encoder → the counter of its tokenizer, for every encoder of the family.

        Raises:
            WeightsError: the base has no such tokenizer, or it cannot be read.
        """
        traits, frame = TRAITS[model.base_architecture], pipeline_traits(model.pipeline).frame
        for encoder in traits.text_encoders:
            if encoder.tokenizer not in base.classes:
                raise WeightsError(
                    f"Its model_index.json names no {encoder.tokenizer}, which every "
                    f"{traits.label} model has.",
                    "Correct the preset's base_architecture, or put such a model there.",
                    base.path,
                )
        return {
            encoder.component: self._counter(base, encoder.tokenizer, frame)
            for encoder in traits.text_encoders
        }

    def _counter(
        self, base: BaseWeights, tokenizer: str, frame: Wrapped | Chat | None
    ) -> TokenCounter:
        files = tuple(file for file in base.files if file.name.startswith(f"{tokenizer}/"))
        key = (base.place(tokenizer), files, frame)
        if key not in self._known:
            folder, class_name = base.place(tokenizer), base.classes.get(tokenizer)
            self._known[key] = load_counter(folder, frame, class_name)
        return self._known[key]
