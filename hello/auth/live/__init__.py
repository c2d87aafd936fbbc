"""How long may a connection stay open that was opened with a token?"""
