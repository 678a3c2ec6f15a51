"""The limits shared by all workers, in Redis: the only package that imports redis."""
