"""Small models trained to see what sharing KV heads costs, and what their losses can tell."""
