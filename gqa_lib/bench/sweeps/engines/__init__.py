"""What runs a sweep's jobs: this machine, a Slurm cluster, Dask. All do it by `bench.run`."""
