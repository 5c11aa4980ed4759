"""Networks, one file each, or a folder where one needs it."""
