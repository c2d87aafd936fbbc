"""Stand-ins for the other parties, on this machine only: who has no account can see it all work."""
