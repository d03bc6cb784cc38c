"""Runs untrusted submissions: student code in a sandbox, tests in a judge process outside it."""
