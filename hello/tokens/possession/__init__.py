"""Does the sender of a token hold the key that the token is bound to?"""
