"""What runs in a version's own interpreter, with nothing but pytest and the standard library.

A package of its own, since that interpreter need not have this repository: only this folder's
parent is put before it, for the import alone.
"""
