"""What happens between iterations: statistics, samples, judging, evaluation, checkpoints, snapshots."""
