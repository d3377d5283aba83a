"""The code that runs in a version's own interpreter, with only pytest and the standard library.

That interpreter need not have pytest-duet: it finds this package by its parent folder, which is on
sys.path only while this package is imported.
"""
