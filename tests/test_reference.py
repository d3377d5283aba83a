"""What a study found, as it is kept."""

from bench.best.reference import Reference
from tests.study import TARGET, findings


def test_runs_are_found_by_set_and_rate():
    """A seed that did not try the target is not there."""
    found = findings()
    few = found.fresh[0].model_copy(update={"bounds": {TARGET: [(90, 100)], 0.9: [(1, 2)] * 6}})

    runs = found.model_copy(update={"fresh": [few]}).runs(TARGET, judged_on="validation")

    assert runs == {1: {100: (90, 100)}}


def test_the_study_of_the_package_is_whole():
    """Each target has a tuned rate inside its grid, and twenty fresh seeds, at each size."""
    found = Reference.shipped()

    assert found.study["dirty"] is False
    assert set(found.tuned) == {0.9, 0.93, 0.95, 0.97}
    for target, tuned in found.tuned.items():
        assert [one.batch_size for one in tuned] == [2**power for power in range(11)]
        assert all(one.is_interior for one in tuned)
        for judge in ("validation", "test"):
            runs = found.runs(target, judged_on=judge)
            assert [len(runs[one.batch_size]) for one in tuned] == [20] * 11
