"""What was answered and what became of it: the SDK and the commands of the part observe."""

from headrace_observe.operations.monitor import QueryAnswer
from headrace_observe.operations.outcomes import Outcome, Recorded, Rejected

__all__ = ["Outcome", "QueryAnswer", "Recorded", "Rejected"]
