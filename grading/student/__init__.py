"""What runs inside the sandbox, next to a student's code. Nothing here is believed outside."""
