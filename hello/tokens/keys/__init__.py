"""Which key may verify a token, where do keys come from, and how long are they used?"""
