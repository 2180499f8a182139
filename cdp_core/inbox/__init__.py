"""What has been received over HTTP and is not in the lake yet, and the keys that let it in."""
