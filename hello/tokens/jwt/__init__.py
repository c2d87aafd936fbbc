"""What does the text of a token say, and is that as it must be? Nothing here trusts it."""
