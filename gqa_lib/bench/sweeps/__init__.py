"""Many runs: what a sweep asks for, what is shown while it runs, and the engines that run it."""
