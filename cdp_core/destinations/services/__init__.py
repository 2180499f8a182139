"""Services that take people or events over HTTP, one file each."""
