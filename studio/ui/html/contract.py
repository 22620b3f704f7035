"""The contract sheet: one paper with its state at the top, the same wherever it is shown.

Pure functions from plans, violations and records to escaped markup.
"""

from collections.abc import Mapping, Sequence
from enum import Enum

from studio.contract.audit import discrepancies
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord
from studio.contract.violations import Violation, WeightsMissing
from studio.library.stock import MissingWeights
from studio.library.transfers import Transfer
from studio.resolve import Provisional
from studio.ui.html import download as download_html
from studio.ui.html import format, icons
from studio.ui.html.plan import plan_body, provisional_body
from studio.ui.html.receipt import receipt_body, receipt_line
from studio.ui.html.tags import EMPTY, Html, div, join, span, tag


class SheetState(Enum):
    """What the sheet's head says: (style, icon)."""

    READY = ("ready", icons.READY)
    FETCH = ("ready", icons.DOWNLOAD)
    VIOLATIONS = ("bad", icons.ALERT)
    RUNNING = ("running", icons.RUNNING)
    PROVEN = ("proven", icons.PROVEN)
    BROKEN = ("bad", icons.CROSS)
    STOPPED = ("stopped", icons.STOPPED)
    FAILED = ("bad", icons.CROSS)


def ready(plan: RunPlan) -> Html:
    return _of_plan(SheetState.READY, "Ready to run", plan)


def running(plan: RunPlan) -> Html:
    return _of_plan(SheetState.RUNNING, "Running", plan)


def cancelled(plan: RunPlan) -> Html:
    line = "Stopped on request. Pictures that were finished before are in the gallery."
    return _of_plan(SheetState.STOPPED, "Cancelled", plan, line)


def failed(plan: RunPlan, message: str, way_out: str) -> Html:
    return _of_plan(SheetState.FAILED, "Failed", plan, f"{message} {way_out}")


def changed(plan: RunPlan) -> Html:
    """The form is not the one that was shown: the new plan first, then the run."""
    line = "Your settings changed. Review the new plan, then press Generate again."
    return _of_plan(SheetState.READY, "Ready to run", plan, line)


def violations(
    found: Sequence[Violation],
    known: Provisional | None = None,
    offered: Mapping[str, Transfer | None] | None = None,
) -> Html:
    """Every rule the request breaks, each with its way out.

    Args:
        known: what is known of its plan where weights are missing, beneath.
        offered: slug → how its download stands, of missing weights that a button fetches.
    """
    items = (
        tag(
            "li",
            tag("p", violation.found, class_="ls-found"),
            tag("p", violation.way_out, class_="ls-way-out"),
            _download(violation, offered or {}),
            data_code=violation.code,
        )
        for violation in found
    )
    body = join((tag("ol", *items, class_="ls-violations"), _known(known)))
    return _sheet(
        SheetState.VIOLATIONS, format.plural(len(found), "violation"), EMPTY, EMPTY, body
    )


def _download(violation: Violation, offered: Mapping[str, Transfer | None]) -> Html:
    if not isinstance(violation, WeightsMissing) or violation.slug not in offered:
        return EMPTY
    state = offered[violation.slug]
    going = state is not None and state.is_going
    button = tag(
        "button",
        f"{'Stop the download of' if going else 'Download'} {violation.label}",
        type="button",
        class_="ls-button",
        data_pick=f"{'stop' if going else 'download'} {violation.slug}",
    )
    return join((download_html.transfer(state), button))


def _known(known: Provisional | None) -> Html:
    return EMPTY if known is None else provisional_body(known)


def of_record(record: RunRecord, damage: Sequence[str] = (), full: bool = True) -> Html:
    """Proven, or broken where receipt and plan (or the file, by ``damage``) disagree.

    Args:
        damage: what a check of the picture's file found, a sentence each.
        full: with the receipt's rows; else they are shown beside the picture.
    """
    problems = (*discrepancies(record.plan, record.receipt), *damage)
    state = SheetState.BROKEN if problems else SheetState.PROVEN
    title = "Broken" if problems else "Proven"
    line: Html = (
        tag("ul", *(tag("li", text) for text in problems), class_="ls-broken")
        if problems
        else receipt_line(record)
    )
    seed = record.receipt.image.seed
    body = join((plan_body(record.plan, seed=seed), receipt_body(record) if full else EMPTY))
    return _sheet(state, title, _identity(record.plan, seed), line, body)


def standing(record: RunRecord) -> str:
    """The head of its sheet, and whose it is, in one line."""
    state = "Broken" if discrepancies(record.plan, record.receipt) else "Proven"
    return f"{state} · plan {format.short_hash(record.plan.fingerprint)}"


def compact(line: str, contract: Html, bad: bool = False) -> Html:
    """A sheet in one line that opens, for narrow screens."""
    summary = tag("summary", span("ls-problem" if bad else "ls-ok", line))
    return tag("details", summary, contract, data_keep="compact")


def to_fetch(
    items: Sequence[MissingWeights], known: Provisional | None = None, line: Html = EMPTY
) -> Html:
    """What a run fetches before it can be planned, and what is ``known`` of its plan; ``line``
    where a fetch has ended early."""
    fetches = div("ls-fetches", *(download_html.missing(item) for item in items))
    body = join((fetches, _known(known)))
    first = "Its weights are not here yet. Generate fetches them, checks them, then runs."
    said = line or (first if len(items) == 1 else first.replace("Its weights", "Some weights"))
    return _sheet(SheetState.FETCH, "Download needed", EMPTY, said, body)


def fetching(items: Sequence[MissingWeights]) -> Html:
    """The download goes on beside it."""
    body = div("ls-fetches", *(download_html.missing(item) for item in items))
    return _sheet(SheetState.RUNNING, "Fetching", EMPTY, EMPTY, body)


def trouble(text: str) -> Html:
    """The request could not be resolved at all; ``text`` says why and the way out."""
    return _sheet(SheetState.FAILED, "Not ready", EMPTY, text, EMPTY)


def empty() -> Html:
    """Before the first plan is there."""
    return _sheet(SheetState.STOPPED, "Reading the request", EMPTY, EMPTY, EMPTY)


def _of_plan(state: SheetState, title: str, plan: RunPlan, line: str = "") -> Html:
    return _sheet(state, title, _identity(plan, plan.seed), line, plan_body(plan))


def _identity(plan: RunPlan, seed: int) -> Html:
    return join(
        (
            span("ls-key", "plan"),
            tag("code", format.short_hash(plan.fingerprint), title=plan.fingerprint),
            span("ls-key", "seed"),
            span("ls-figure", seed),
        )
    )


def _sheet(state: SheetState, title: str, identity: Html, line: str, body: Html) -> Html:
    style, icon = state.value
    head = tag(
        "header",
        span("ls-state", icon, span("", title)),
        span("ls-identity", identity) if identity else EMPTY,
    )
    said = div("ls-line", line) if line else EMPTY
    return tag(
        "section",
        head,
        said,
        body,
        class_=f"ls-sheet ls-{style}",
        data_state=state.name.lower(),
        aria_label=f"Contract: {title}",
    )
