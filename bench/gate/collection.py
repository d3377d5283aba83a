"""What pytest collects in each version's tree, and what the versions have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.gate import IncomparableError
from bench.gate.processes import Process, Version


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What pytest collects in a tree."""

    version: Version
    functions: Mapping[str, str]  # each case's name, and the test function it belongs to
    modules: Mapping[str, str]  # what was imported, in order, and its file
    versions: Mapping[str, str]  # of Python and pytest

    def holds(self, file: str) -> bool:
        """Whether the tree holds a file as its own code, not in an environment in its folder."""
        path = Path(file)
        return path.is_relative_to(self.version.tree) and "site-packages" not in path.parts

    def modules_shared_with(self, other: "Collection") -> list[str]:
        """Return what both imported from the same file, and no tree holds, in order of import."""
        return [
            name
            for name, file in self.modules.items()
            if other.modules.get(name) == file and not self.holds(file) and not other.holds(file)
        ]


def of_each(processes: Sequence[Process], versions: Sequence[Version]) -> list[Collection]:
    """Return what each version's process has collected; refuse what cannot be imported."""
    collections = []
    for process, version in zip(processes, versions, strict=True):
        answer = process.ask(do="describe")
        if errors := answer.pop("errors"):
            raise IncomparableError(f"{version.name} cannot be collected: {errors[0]}")
        modules = dict(answer.pop("modules"))
        collections.append(Collection(version=version, modules=modules, **answer))
    return collections


def check_apart(base: Collection, head: Collection) -> None:
    """Refuse a version that runs the other's code: it would be compared with itself in secret."""
    if base.version.tree == head.version.tree:
        return
    for own, foreign in ((base, head), (head, base)):
        for file in own.modules.values():
            if foreign.holds(file) and not own.holds(file):
                raise IncomparableError(
                    f"{own.version.name} ran {file}, the code of {foreign.version.name}"
                )


def cases(base: Collection, head: Collection) -> tuple[dict[str, str], dict[str, str]]:
    """Return the function of each case that both collect, and why other cases are not compared."""
    if not base.functions and not head.functions:
        raise IncomparableError("pytest collects no case that uses the benchmark fixture")
    common = {name: head.functions[name] for name in head.functions if name in base.functions}
    missing = {
        name: f"missing in {lacking.version.name}"
        for collection, lacking in ((head, base), (base, head))
        for name in collection.functions
        if name not in lacking.functions
    }
    return common, missing
