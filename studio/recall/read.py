"""A picture's texts → what they say, whichever tool wrote them."""

from collections.abc import Mapping

from studio.errors import RecallError
from studio.recall import a1111, comfyui, json_tools
from studio.recall.said import Said

PARAMETERS = "parameters"


def read(texts: Mapping[str, str]) -> Said:
    """What a picture's texts (keyword → text) say.

    Raises:
        RecallError: no tool that is known wrote one of them, or it cannot be read.
    """
    if "invokeai_metadata" in texts:
        return json_tools.invokeai(json_tools.parse(texts["invokeai_metadata"], "InvokeAI"))
    if "prompt" in texts and texts["prompt"].lstrip().startswith("{"):
        return comfyui.read(texts["prompt"])
    if PARAMETERS in texts:
        return read_parameters(texts[PARAMETERS])
    names = ", ".join(sorted(texts)[:8]) or "none"
    raise RecallError(
        f"Nothing in this file says how the picture was made (its texts: {names}).",
        "Take the file as the tool saved it: messengers and many sites strip what tools write.",
    )


def read_parameters(written: str) -> Said:
    """What a ``parameters`` text says: A1111's, or the JSON of SwarmUI and Fooocus.

    Raises:
        RecallError: it is JSON that cannot be read.
    """
    if not written.lstrip().startswith("{"):
        return a1111.read(written)
    found = json_tools.parse(written, "the tool")
    if "sui_image_params" in found:
        return json_tools.swarmui(found)
    if "base_model" in found or "lora_combined_1" in found:
        return json_tools.fooocus(found)
    raise RecallError(
        "The parameters in this picture are JSON of a tool that is not known.",
        "Write the settings into the form by hand.",
    )
