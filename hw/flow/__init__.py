"""Parts that streams are built from: packet buffers, arbiters, register slices."""
