"""``studio compare``: cells under one contract, and what they allow to conclude."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Annotated, Any

import typer

from studio.cli.console import Console, Ended, ExitCode, command
from studio.cli.options import RequestOptions, takes_options
from studio.cli.parsers import parse_text, strength_list
from studio.cli.progress import ProgressLine, cancelled_by_ctrl_c
from studio.comparison.axes import (
    STRENGTHS,
    Axis,
    AxisName,
    AxisValue,
    ComparisonPlan,
    ComparisonRequest,
    Question,
    compose,
)
from studio.comparison.axis_text import parse_axis, parse_values
from studio.comparison.differences import summary, uninvited
from studio.comparison.effects import EffectSummary, paired_effects
from studio.comparison.events import CellDone, CellFailed, CellWorking, Compared, NothingCompared
from studio.comparison.numbers import MEANINGS, Spread
from studio.comparison.record import CellRecord, CellState, ComparisonRecord
from studio.comparison.validity import Verdict, name_of, seal_words
from studio.gallery.comparisons.files import sheet_of
from studio.workspace.comparing import Comparing, Forecast
from studio.workspace.workspace import Workspace

_STYLES = {Verdict.VALID: "good", Verdict.INVALID: "bad", Verdict.INCOMPLETE: "strong"}


def axis_option(text: str) -> Axis:
    try:
        return parse_axis(parse_text(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


_AXIS_HELP = "NAME=VALUE,VALUE (prompts: prompt=ONE|OTHER); with --kind grid."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions(RequestOptions):
    """The request that cells start from, and what varies; ``--count`` is the number of seeds."""

    kind: Annotated[Question, typer.Option(help="The question that is asked.")]
    strengths: Annotated[
        str, typer.Option(metavar="NUMBER,NUMBER", help="For the kinds that sweep strengths.")
    ] = ",".join(map(str, STRENGTHS))
    against: Annotated[
        str, typer.Option(parser=parse_text, metavar="SLUG", help="The other LoRA.")
    ] = ""
    rows: Annotated[
        Axis | None, typer.Option(parser=axis_option, metavar="AXIS", help=_AXIS_HELP)
    ] = None
    columns: Annotated[
        Axis | None, typer.Option(parser=axis_option, metavar="AXIS", help=_AXIS_HELP)
    ] = None
    pages: Annotated[
        str,
        typer.Option(
            parser=parse_text,
            metavar="PROMPT|PROMPT",
            help="The same comparison once for each prompt, in place of --prompt.",
        ),
    ] = ""
    hold: Annotated[
        bool,
        typer.Option(
            "--hold/--no-hold", help="Every cell takes the settings the request itself has."
        ),
    ] = True
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh", help="Regenerate every cell, even if it is already in the gallery."
        ),
    ] = False
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Show the cells and the estimate, run nothing.")
    ] = False

    def _other_loras(self) -> set[str]:
        """Those that take the first one's place."""
        axes = [axis for axis in (self.rows, self.columns) if axis is not None]
        slugs = {str(v) for axis in axes if axis.name is AxisName.LORA for v in axis.values}
        return {self.against, *slugs} - {""}

    def wanted(self, workspace: Workspace) -> ComparisonRequest:
        return compose(
            self.kind,
            self.request(workspace),
            values=strength_list(self.strengths),
            other=self.against,
            rows=self.rows,
            columns=self.columns,
            hold=self.hold,
            allow_partial=tuple(sorted(set(self.allow_partial or ()) & self._other_loras())),
        )


@takes_options(CompareOptions)
def compare(options: CompareOptions) -> None:
    """Make a grid of pictures that differ in what you say, and judge what they show."""
    with command(options.as_json) as console, closing(options.open_workspace()) as workspace:
        prompts = parse_values(AxisName.PROMPT, options.pages)
        wanted = options.wanted(workspace)
        ask(console, workspace, wanted, options.plan_only, options.fresh, prompts)


def ask(
    console: Console,
    workspace: Workspace,
    wanted: ComparisonRequest,
    plan_only: bool,
    fresh: bool = False,
    prompts: Sequence[AxisValue] = (),
) -> None:
    """Show the cells and the estimate; carry the comparisons out unless ``plan_only``."""
    comparing = Comparing(workspace)
    answer = comparing.plan_pages(wanted, prompts)
    if isinstance(answer, tuple):
        console.refuse(answer)
        raise Ended(ExitCode.VIOLATIONS)
    for plan in answer:
        _show_plan(console, plan, comparing.forecast(plan))
    data, ends = [_plan_data(plan, comparing.forecast(plan)) for plan in answer], []
    for plan in () if plan_only else answer:
        ends.append(_carry_out(console, workspace, comparing, plan, fresh))
        if ends[-1].cancelled:
            break
    if console.as_json:
        said = data if plan_only else [_end_data(end) for end in ends]
        console.data({"pages": said} if prompts else said[0])
    _report(console, ends)


def _show_plan(console: Console, plan: ComparisonPlan, forecast: Forecast) -> None:
    foreign = [
        f"{side.difference.name}: {side.difference.left} against {side.difference.right}"
        for side in uninvited(plan)
    ]
    console.fields(
        [
            ("Comparison", plan.fingerprint),
            ("Differs", summary(plan)),
            *(("Uninvited", text) for text in foreign),
            ("Cells", f"{forecast.cells}, {forecast.found} of them in the gallery already"),
            ("Estimate", "none yet" if forecast.seconds is None else f"{forecast.seconds:.0f} s"),
        ]
    )


def _plan_data(plan: ComparisonPlan, forecast: Forecast) -> dict[str, Any]:
    return {
        "fingerprint": plan.fingerprint,
        "forecast": dataclasses.asdict(forecast),
        "summary": summary(plan),
        **plan.model_dump(mode="json"),
    }


def _carry_out(
    console: Console, workspace: Workspace, comparing: Comparing, plan: ComparisonPlan, fresh: bool
) -> Compared | NothingCompared:
    line, session = ProgressLine(console), workspace.open_session()
    end: Compared | NothingCompared = NothingCompared(cancelled=True)
    try:
        with cancelled_by_ctrl_c(console) as cancel:
            for event in comparing.run(plan, session, cancel, fresh):
                match event:
                    case CellWorking():
                        where = f"Cell {event.done + 1} of {event.total}: "
                        line.show(event.event, where)
                    case CellDone(cell=cell, reused=True):
                        console.note(f"Found in the gallery: {name_of(plan, cell)}")
                    case CellFailed(cell=cell, error=error):
                        line.end()
                        console.complain(f"{name_of(plan, cell)}: {error.message}", error.way_out)
                    case Compared() | NothingCompared():
                        end = event
    finally:
        line.end()
        workspace.close_session(session)
    return end


def _report(console: Console, ends: Sequence[Compared | NothingCompared]) -> None:
    """The verdict first; an exit code of 0 means valid comparisons, and nothing less."""
    made = [end for end in ends if isinstance(end, Compared)]
    for end in made:
        _show_record(console, end)
    if any(end.cancelled for end in ends):
        console.note("Cancelled.")
        raise Ended(ExitCode.CANCELLED)
    valid = [end for end in made if end.record.validity.verdict is Verdict.VALID]
    if len(valid) < len(ends):
        raise Ended(ExitCode.FAILURE)


def _end_data(end: Compared | NothingCompared) -> dict[str, Any]:
    if isinstance(end, NothingCompared):
        return {"comparison": None, "sheet": None, "record": None, "cancelled": end.cancelled}
    return {
        "comparison": str(end.path),
        "sheet": str(sheet_of(end.path)),
        "fingerprint": end.record.fingerprint,
        "record": end.record.model_dump(mode="json"),
        "effects": [each.summary().model_dump(mode="json") for each in paired_effects(end.record)],
        "cancelled": end.cancelled,
    }


def _show_record(console: Console, end: Compared) -> None:
    record = end.record
    verdict = record.validity.verdict
    console.say()
    console.say(console.paint(seal_words(verdict, record.uninvited), _STYLES[verdict]))
    for item in record.uninvited:
        console.say(f"  {item.not_asked_for}")
    for reason in record.validity.reasons:
        console.say(f"  {reason.text}")
    console.table([_row(cell) for cell in record.cells])
    _show_numbers(console, record)
    console.say(str(end.path))
    console.say(str(sheet_of(end.path)))


def _row(cell: CellRecord) -> Sequence[str]:
    if cell.state is not CellState.DONE:
        why = cell.error.code if cell.error else cell.state.value.replace("_", " ")
        return ("-", cell.label, cell.mode.label, why)
    return ("✓", cell.label, cell.mode.label, str(cell.picture))


def _show_numbers(console: Console, record: ComparisonRecord) -> None:
    effects = [each for each in paired_effects(record) if each.difference]
    for each in effects:
        console.say(f"  {each.name}: {_effect(each.summary())}")
    scored = [cell for cell in record.cells if cell.clip is not None]
    for cell in scored:
        console.say(f"  {cell.label}, picture against prompt: CLIP {cell.clip:.3f}")
    if effects:
        several = any(len(each.difference) > 1 for each in effects)
        for name in _meanings(several, bool(scored) or any(each.clip for each in effects)):
            console.say(console.paint(MEANINGS[name], "faint"))


def _meanings(several: bool, clip: bool) -> Iterator[str]:
    yield from ("mean_absolute_difference", "structural_similarity")
    if several:
        yield "paired_effect"
    if clip:
        yield from ("clip_pictures", "clip_prompt")


def _effect(effect: EffectSummary) -> str:
    shown = (
        ("difference", effect.mean_absolute_difference, ".1%"),
        ("SSIM", effect.structural_similarity, ".3f"),
        ("CLIP", effect.clip, ".3f"),
    )
    return ", ".join(_spread(name, spread, how) for name, spread, how in shown if spread)


def _spread(name: str, spread: Spread, how: str) -> str:
    said = f"{name} {spread.median:{how}}"
    if spread.count == 1:
        return said
    quartiles = f"{spread.first_quartile:{how}} to {spread.third_quartile:{how}}"
    return f"{said} (quartiles {quartiles}, {spread.count} seeds)"
