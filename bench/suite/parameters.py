"""A case's parameters: marks at the case name them, the command line's options give the values."""

import pytest

from bench.suite.options import Options

DESCRIPTION = "from_options(parameter, field): one case for each value of this field of Options"


def _from_options(parameter: str, field: str) -> pytest.MarkDecorator:
    return pytest.mark.from_options(parameter, field)


at_each_engine = _from_options("engine", "engines")
at_each_resident_engine = _from_options("engine", "resident_engines")
at_each_aligned_engine = _from_options("engine", "alignment_engines")
at_each_batch_size = _from_options("batch_size", "batch_sizes")

at_each_shared_engine = _from_options("engine", "shared_engines")
at_each_group = _from_options("group", "groups")
at_each_exchanging_group = _from_options("group", "exchanging_groups")
at_each_worker_epoch_batch_size = _from_options("batch_size", "worker_epoch_batch_sizes")
at_each_worker_batch_size = _from_options("batch_size", "worker_batch_sizes")

at_each_training_engine = _from_options("engine", "convergence_engines")
at_each_training_batch_size = _from_options("batch_size", "convergence_batch_sizes")
at_each_lr_rule = _from_options("lr_rule", "lr_rules")
at_each_seed = _from_options("seed", "seeds")


def parametrize(metafunc: pytest.Metafunc, options: Options) -> None:
    """Give a case its values; ids read name=value, the mark nearest to the function first."""
    for mark in metafunc.definition.iter_markers("from_options"):
        parameter, field = mark.args
        metafunc.parametrize(parameter, getattr(options, field), ids=(parameter + "={}").format)
