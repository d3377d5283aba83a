"""How it is measured: the pytest-benchmark cases, and the instruments beside them."""
