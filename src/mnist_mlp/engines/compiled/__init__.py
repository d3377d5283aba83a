"""Forward, backward and update fused by torch.compile."""
