"""Packages with a compiled extension: built in each version's tree, or refused by name."""

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
WIDE = "--margin=100%"  # so that a noisy machine decides nothing
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
    """A package whose extension falls back to Python, in a checkout with one commit."""
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


def test_without_a_build_an_extension_of_one_version_alone_is_refused(checkout, capfd):
    """The base would fall back to Python, and the head look fast."""
    command.main(["--base=main", WIDE, f"--build={COMPILE}"])
    assert (checkout / "src" / "sums" / "fast.so").exists()
    capfd.readouterr()

    code = command.main(["--base=main", WIDE])

    printed = capfd.readouterr()
    assert code == 4
    assert "sums.fast is a compiled extension in head, and is not imported in base" in printed.err
    assert "add --build COMMAND" in printed.err


def test_a_build_is_kept_for_its_revision_until_it_is_another(checkout, capfd):
    """So a second gate on the same base does not wait for it."""
    log = checkout.parent / "log"
    build = f"echo {{tree}} >> {log}; {COMPILE}"

    for words in ([], [], [f"--build={build}; true"]):
        assert command.main(["--base=main", WIDE, f"--build={build}", *words]) == 0, (
            capfd.readouterr()
        )

    bases = [line for line in log.read_text().splitlines() if line != str(checkout)]
    assert len(bases) == len(set(bases)) == 2
    assert len(toy.git(checkout, "worktree", "list").splitlines()) == 2


def test_a_build_that_fails_shows_what_it_wrote_and_leaves_nothing(checkout, capfd):
    """The versions cannot be compared then."""
    code = command.main(["--base=main", "--build=echo no compiler; exit 3"])

    printed = capfd.readouterr()
    assert code == 4
    assert "base cannot be built: echo no compiler; exit 3 ended with 3\nno compiler" in printed.err
    assert len(toy.git(checkout, "worktree", "list").splitlines()) == 1


def test_a_build_may_install_into_a_folder_that_is_imported_from_first(checkout, capfd):
    """For packages that do not build in place, even where pytest puts the tree in front."""
    (checkout / "src" / "sums").rename(checkout / "sums")
    (checkout / "conftest.py").write_text("")
    (checkout / "test_sums.py").write_text(CASE + "    assert isinstance(total, type(len))\n")
    toy.commit(checkout)
    install = "mkdir {target}/sums && cp {tree}/sums/__init__.py {target}/sums/ && " + (
        COMPILE.replace("{tree}/src/sums/fast.so", "{target}/sums/fast.so")
    )

    code = command.main(["--base=main", WIDE, f"--build={install}", f"--python={sys.executable}"])

    assert code == 0, capfd.readouterr()
