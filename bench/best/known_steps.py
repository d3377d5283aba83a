"""Steps to a target that a study has measured, or a sentence on which it has."""

from bench.best.reference import Reference
from bench.laws.steps_law import Runs
from mnist_mlp.errors import UserError


class UnknownStepsError(UserError):
    """No study has measured the steps that the options ask for."""


def runs(target: float, reference: Reference) -> Runs:
    """Return bounds of steps by batch size and seed, at the tuned rates, judged on the test set.

    Raises:
        UnknownStepsError: they are not known for this test accuracy.

    """
    if target not in reference.tuned:
        known = ", ".join(f"{each:g}" for each in reference.tuned)
        raise UnknownStepsError(
            f"steps to test accuracy {target:g} are not known, only those to {known}: choose one "
            "of these, or race whole trainings with sweet-spot --search"
        )
    return reference.runs(target, judged_on="test")
