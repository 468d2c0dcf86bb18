"""Reports of a campaign: each sees the outcome only."""
