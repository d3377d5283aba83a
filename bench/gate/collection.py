"""What pytest collects in each version's tree, and what the versions have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.gate.company import Process, Version, WorkerError


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What pytest collects in a tree."""

    version: Version
    functions: Mapping[str, str]  # each case's name, and the test function it belongs to
    modules: Mapping[str, str]  # what was imported, in order, and its file
    versions: Mapping[str, str]  # of Python and pytest


def of_each(processes: Sequence[Process], versions: Sequence[Version]) -> list[Collection]:
    """Return what each version's process has collected.

    Raises:
        WorkerError: a module of the cases cannot be imported.

    """
    return [_of(process, version) for process, version in zip(processes, versions, strict=True)]


def _of(process: Process, version: Version) -> Collection:
    found = process.ask(do="describe")
    if found["errors"]:
        raise WorkerError(f"{version.name} cannot be collected: {found['errors'][0]}")
    return Collection(
        version=version,
        functions=found["functions"],
        modules=dict(found["modules"]),
        versions=found["versions"],
    )


def check_apart(one: Collection, other: Collection) -> None:
    """Refuse a version that runs the other's code: it would be compared with itself in secret.

    Raises:
        WorkerError: names the file.

    """
    if one.version.tree == other.version.tree:
        return
    for own, foreign in ((one, other), (other, one)):
        for file in own.modules.values():
            if _is_of(file, foreign.version.tree) and not _is_of(file, own.version.tree):
                raise WorkerError(
                    f"{own.version.name} ran {file}, the code of {foreign.version.name}"
                )


def common_modules(collections: Sequence[Collection]) -> list[str]:
    """Return what all imported from the same file, and no tree holds, in the order of import."""
    first, *others = collections
    return [
        name
        for name, file in first.modules.items()
        if all(other.modules.get(name) == file for other in others)
        and not any(_is_of(file, one.version.tree) for one in collections)
    ]


def cases_of_both(base: Collection, head: Collection) -> dict[str, str]:
    """Return the function of each case that both collect.

    Raises:
        WorkerError: neither collects any.

    """
    if not base.functions and not head.functions:
        raise WorkerError("pytest collects no case that uses the benchmark fixture")
    return {name: head.functions[name] for name in head.functions if name in base.functions}


def cases_of_one(base: Collection, head: Collection) -> dict[str, str]:
    """Return a reason for each case that one of the two lacks."""
    return {
        name: f"missing in {lacking.version.name}"
        for one, lacking in ((head, base), (base, head))
        for name in one.functions
        if name not in lacking.functions
    }


def _is_of(file: str, tree: Path) -> bool:
    """Whether a tree holds a file as its own code: an environment in its folder is none of it."""
    path = Path(file)
    return path.is_relative_to(tree) and "site-packages" not in path.parts
