"""What pytest collects in each version's tree, and what the versions have in common."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_duet import IncomparableError
from pytest_duet.processes import Process
from pytest_duet.trees import Version

EXTENSION_SUFFIXES = {".so", ".pyd"}
ADD_BUILD = "add --build COMMAND, which is run in each version's tree"


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What pytest collects in a tree."""

    version: Version
    functions: Mapping[str, str]  # test function of each case
    sources: Mapping[str, str]  # digest of each case's test and fixtures
    modules: Mapping[str, str]  # file of each imported module, in order of import
    versions: Mapping[str, str]  # versions of Python and pytest
    errors: Sequence[str]  # errors of modules that cannot be imported

    @cached_property
    def extensions(self) -> set[str]:
        """The version's own modules that are compiled."""
        return {name for name in self.own if Path(self.modules[name]).suffix in EXTENSION_SUFFIXES}

    @cached_property
    def own(self) -> set[str]:
        """The modules that are the version's own code."""
        return {name for name, file in self.modules.items() if self.version.holds(file)}

    def modules_shared_with(self, other: "Collection") -> list[str]:
        """Return the modules that both imported from a file of neither, in order of import."""
        own = self.own | other.own
        shared = dict(self.modules.items() & other.modules.items())
        return [name for name in self.modules if name in shared and name not in own]


def of_each(processes: Sequence[Process], versions: Sequence[Version]) -> list[Collection]:
    """Ask each version's process what it has collected."""
    collections = []
    for process, version in zip(processes, versions, strict=True):
        answer = process.ask(do="describe")
        modules = dict(answer.pop("modules"))
        collections.append(Collection(version=version, modules=modules, **answer))
    return collections


def check(base: Collection, head: Collection, *, is_built: bool) -> None:
    """Refuse versions if one cannot be imported, or runs code that is not its own."""
    for own, other in ((base, head), (head, base)):
        if own.errors:
            hint = "" if is_built or other.errors else f"; if it must be built, {ADD_BUILD}"
            raise IncomparableError(
                f"{own.version.name} cannot be collected: {own.errors[0]}{hint}"
            )
    check_modules(base, head, is_built=is_built)


def check_modules(base: Collection, head: Collection, *, is_built: bool) -> None:
    """Refuse versions if one has so far imported code that is not its own."""
    if base.version.tree == head.version.tree:
        return
    for own, other in ((base, head), (head, base)):
        _check_is_own(own, other)
        for name in sorted(own.extensions - other.extensions):
            if name in other.modules or not is_built:
                state = "is Python" if name in other.modules else "is not imported"
                advice = "--build did not build it there" if is_built else ADD_BUILD
                raise IncomparableError(
                    f"{name} is a compiled extension in {own.version.name}, and {state} in "
                    f"{other.version.name}: {advice}"
                )


def _check_is_own(own: Collection, other: Collection) -> None:
    """Refuse a version that runs other code: the other version would be compared with itself."""
    for name, file in own.modules.items():
        if own.version.holds(file):
            continue
        if other.version.holds(file):
            raise IncomparableError(
                f"{own.version.name} ran {file}, the code of {other.version.name}"
            )
        is_top_level = "." not in name and name not in sys.stdlib_module_names
        if is_top_level and own.version.has_source_of(name):
            raise IncomparableError(
                f"{own.version.name} ran {file}, not the {name} of its tree: a module is imported "
                "from src or the root folder, or --build must install it into {target}"
            )


def cases(base: Collection, head: Collection) -> tuple[dict[str, str], dict[str, str]]:
    """Return the function of each case that both collect, and why other cases are not compared."""
    if not base.functions and not head.functions:
        raise IncomparableError(
            "pytest collects no case that uses the benchmark fixture: name its files after --"
        )
    common = {name: head.functions[name] for name in head.functions if name in base.functions}
    missing = {
        name: f"missing in {lacking.version.name}"
        for collection, lacking in ((head, base), (base, head))
        for name in collection.functions
        if name not in lacking.functions
    }
    return common, missing


def changed(base: Collection, head: Collection) -> set[str]:
    """Return the cases whose test or fixtures differ between the versions."""
    return {name for name, source in head.sources.items() if base.sources.get(name) != source}
