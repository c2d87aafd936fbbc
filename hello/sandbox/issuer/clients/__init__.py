"""Which clients does the issuer know?"""
