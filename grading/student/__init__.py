"""What runs inside the sandbox, beside a student's code. Nothing here is believed outside."""
