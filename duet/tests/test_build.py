"""Packages with a compiled extension are built in each version's tree, or refused by name."""

import sys

import pytest

import toy
from pytest_duet import command

SOURCE = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *total(PyObject *self, PyObject *args)
{
    long most, sum = 0;
    if (!PyArg_ParseTuple(args, "l", &most))
        return NULL;
    for (volatile long i = 0; i < most * ROUNDS; i++)
        sum += i;
    return PyLong_FromLong(sum);
}

static PyMethodDef methods[] = {{"total", total, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", NULL, -1, methods};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"""
PACKAGE = """
try:
    from sums.fast import total
except ImportError:
    def total(most):
        return sum(range(most))
"""
WIDE = "--margin=100%"  # a margin that no noise exceeds
CASE = """
from sums import total

def test_total(benchmark):
    benchmark(total, 20_000)
"""
INCLUDE = """{python} -c 'import sysconfig; print(sysconfig.get_path("include"))'"""
COMPILE = (
    f"gcc -shared -fPIC -O1 -DROUNDS=1 -I$({INCLUDE}) {{tree}}/fast.c -o {{tree}}/src/sums/fast.so"
)


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    """Return a checkout of a package that falls back to Python if its extension is missing."""
    tree = tmp_path / "checkout"
    (tree / "src" / "sums").mkdir(parents=True)
    (tree / "fast.c").write_text(SOURCE)
    (tree / "src" / "sums" / "__init__.py").write_text(PACKAGE)
    (tree / "test_sums.py").write_text(CASE)
    (tree / "pyproject.toml").write_text('[tool.pytest-duet]\narguments = ["test_sums.py"]\n')
    (tree / ".gitignore").write_text("*.so\n__pycache__/\n.pytest_cache/\n")
    toy.commit(tree)
    monkeypatch.chdir(tree)
    return tree


def test_an_extension_is_built_in_each_version(checkout, capfd):
    """Identical code passes, and a slowdown in the C source is found."""
    same = command.main(["--base=main", WIDE, f"--build={COMPILE}"])
    source = checkout / "fast.c"
    source.write_text(source.read_text().replace("most * ROUNDS", "most * 10"))

    slowed = command.main(["--base=main", WIDE, f"--build={COMPILE}"])

    printed = capfd.readouterr()
    assert (same, slowed) == (0, 1), printed
    assert "Regression: test_total." in printed.out


def test_without_a_build_an_extension_in_only_one_version_is_refused(checkout, capfd):
    """Otherwise the base would fall back to Python, and the head would look fast."""
    command.main(["--base=main", WIDE, f"--build={COMPILE}"])
    assert (checkout / "src" / "sums" / "fast.so").exists()
    capfd.readouterr()

    code = command.main(["--base=main", WIDE])

    printed = capfd.readouterr()
    assert code == 4
    assert "sums.fast is a compiled extension in head, and is not imported in base" in printed.err
    assert "add --build COMMAND" in printed.err


def test_the_base_is_built_again_only_if_the_command_changes(checkout, capfd):
    """The second of three gates uses the first one's build; the third has another command."""
    log = checkout.parent / "log"
    build = f"echo {{tree}} >> {log}; {COMPILE}"

    for words in ([], [], [f"--build={build}; true"]):
        assert command.main(["--base=main", WIDE, f"--build={build}", *words]) == 0, (
            capfd.readouterr()
        )

    bases = [line for line in log.read_text().splitlines() if line != str(checkout)]
    assert len(bases) == len(set(bases)) == 2
    assert len(toy.git(checkout, "worktree", "list").splitlines()) == 2


def test_a_failed_build_shows_its_output_and_leaves_no_worktree(checkout, capfd):
    """The gate ends with the exit code of versions that cannot be compared."""
    code = command.main(["--base=main", "--build=echo no compiler; exit 3"])

    printed = capfd.readouterr()
    assert code == 4
    assert "base cannot be built: echo no compiler; exit 3 ended with 3\nno compiler" in printed.err
    assert len(toy.git(checkout, "worktree", "list").splitlines()) == 1


def test_a_build_may_install_into_a_folder_that_is_imported_from_first(checkout, capfd):
    """The folder comes before the tree even if pytest puts the tree first on sys.path."""
    (checkout / "src" / "sums").rename(checkout / "sums")
    (checkout / "conftest.py").write_text("")
    (checkout / "test_sums.py").write_text(CASE + "    assert isinstance(total, type(len))\n")
    toy.commit(checkout)
    install = "mkdir {target}/sums && cp {tree}/sums/__init__.py {target}/sums/ && " + (
        COMPILE.replace("{tree}/src/sums/fast.so", "{target}/sums/fast.so")
    )

    code = command.main(["--base=main", WIDE, f"--build={install}", f"--python={sys.executable}"])

    assert code == 0, capfd.readouterr()
