"""What is measured: an MNIST network, its data and its training."""
