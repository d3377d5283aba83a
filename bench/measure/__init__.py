"""What measures beside pytest-benchmark."""
