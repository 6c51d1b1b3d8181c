"""What the parts say to each other; imports nothing of ours."""
