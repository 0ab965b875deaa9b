"""Value objects shared by all layers. They do no I/O and import nothing of the product but each other."""
