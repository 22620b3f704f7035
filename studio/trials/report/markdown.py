"""The card as Markdown."""

from collections.abc import Iterator, Sequence

from studio.trials.report import people
from studio.trials.report.card import EpochCard
from studio.trials.report.rows import facts, failed, table, title
from studio.trials.tournament import Duel
from studio.trials.words import alarm_texts, caveats, missing_text, sentences


def markdown(card: EpochCard, duels: Sequence[Duel] = ()) -> str:
    """The card as Markdown, to lie beside the file or on its page.

    Args:
        duels: what people chose in its tournament.
    """
    found = card.findings
    lines = [f"# {title(card)}", ""]
    lines += [
        f"- **{name}**: {text}{f' `{code}`' if code else ''}" for name, text, code in facts(card)
    ]
    lines += ["", *(f"{text}  " for text in sentences(found)), ""]
    lines += [f"> {text}" for text in (*card.invalid, *alarm_texts(found))]
    rows = table(card)
    heads = ["Checkpoint", *rows["heads"], "Against the best"]
    lines += ["", _row(heads), _row(["---"] * len(heads))]
    lines += [_row([row["name"], *row["numbers"], row["standing"]]) for row in rows["rows"]]
    lines += _people(card, duels)
    lines += ["", *(f"- {text}" for text in (*caveats(found), *failed(card)))]
    if found.missing:
        lines.append(f"- Not measured: {'; '.join(missing_text(found))}.")
    lines += ["", f"Card `{card.fingerprint}`, from {len(card.pictures)} pictures; "
              "`studio verify` checks its JSON.", ""]  # fmt: skip
    return "\n".join(lines)


def _people(card: EpochCard, duels: Sequence[Duel]) -> Iterator[str]:
    said = people.people_said(card, duels)
    if said is None:
        return
    yield from ("", "## What people chose, blind", "")
    yield from (f"{text}  " for text in people.sentences(card, said))
    tables: tuple[tuple[list[str], Iterator[Sequence[str]]], ...] = (
        (["Checkpoint", "Strength θ", "Duels"], people.ranks(card, said)),
        (["Measure", "Spearman's rho with the people"], people.correlations(said)),
    )
    for heads, rows in tables:
        yield from ("", _row(heads), _row(["---"] * len(heads)), *map(_row, rows))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
