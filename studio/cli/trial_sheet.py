"""The design of a trial and what it found, as lines of text."""

from studio.cli.console import Console
from studio.contract.base import in_time
from studio.trials.design import TrialDesign
from studio.trials.report.card import EpochCard
from studio.trials.words import alarm_texts, caveats, sentences, strengths_text
from studio.workspace.trial_plan import TrialForecast


def show_design(console: Console, design: TrialDesign, forecast: TrialForecast) -> None:
    """What a trial would make, what decides it, and what it costs."""
    rule = design.rule
    console.fields(
        [
            ("Trial", f"{design.name}, {design.fingerprint}"),
            ("Base", design.base),
            ("Files", ", ".join(each.name for each in design.checkpoints)),
            *(
                ("Equal", f"{each.name} holds the same weights as {each.same_as}")
                for each in design.checkpoints
                if each.same_as is not None
            ),
            *(
                ("Inert", f"{each.name} changes nothing; its pictures are the base's")
                for each in design.checkpoints
                if each.inert
            ),
            ("Strengths", strengths_text(design)),
            ("Trigger", design.trigger or "none"),
            *(("Prompt", f"{each.name} {each.kind}: {each.text}") for each in design.prompts),
            ("Rounds", f"{', '.join(map(str, rule.rounds))} seeds, decided by "
             + ", ".join(goal.measure for goal in rule.goals)),
            ("Pictures", f"{forecast.first} in the first round ({forecast.found} in the gallery "
             f"already), {forecast.most} at most"),
            ("Estimate", "none yet; this base has made no picture here"
             if forecast.seconds is None else f"{in_time(forecast.seconds)} at most"),
        ]
    )  # fmt: skip


def show_card(console: Console, card: EpochCard) -> None:
    """What a trial shows so far, and what stands against it."""
    for text in card.invalid:
        console.say(console.paint("Not proven: ", "bad") + text)
    for text in sentences(card.findings):
        console.say(text)
    for text in alarm_texts(card.findings):
        console.say(console.paint("Alarm: ", "bad") + text)
    for text in caveats(card.findings):
        console.say(console.paint(text, "faint"))
