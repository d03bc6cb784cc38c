"""A child process, limited in memory and time, for what strangers wrote."""
