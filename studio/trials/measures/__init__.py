"""What a trial measures of each picture; a measure of your own is a class like these."""

from studio.trials.measures.measure import MeasureFacts, MeasureReading, Seen, TrialMeasure

__all__ = ["MeasureFacts", "MeasureReading", "Seen", "TrialMeasure"]
