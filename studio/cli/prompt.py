"""``studio prompt``: texts of other tools."""

from typing import Annotated

import typer

from studio.cli.console import command
from studio.resolve.foreign import convert as converted

app = typer.Typer(no_args_is_help=True, help="Texts of other tools.")


@app.command()
def convert(
    text: Annotated[str, typer.Argument(help="As A1111 and similar tools write it.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Put a prompt of another tool into Compel's form: the text on standard output, what was taken
    out of it or has no form here on standard error."""
    with command(as_json) as console:
        made = converted(text)
        left = [{"kind": each.kind, "found": where} for each, where in made.left]
        choices = [tag.choice for tag in made.loras]
        loras = [
            {"name": each.slug, "strength": each.strength}
            | ({"finer": each.finer} if each.finer else {})
            for each in choices
        ]
        if as_json:
            console.data({"text": made.text, "loras": loras, "left": left})
            return
        console.say(made.text)
        for lora in choices:
            said = ":".join(filter(None, (f"{lora.strength:g}", lora.finer)))
            console.note(f"LoRA {lora.slug}: choose it with --lora SLUG:{said}.")
        for each, where in made.left:
            console.note(f"{where} has no form here; {each.means}.")
