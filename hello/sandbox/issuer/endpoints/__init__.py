"""What does the issuer do for clients and APIs that ask it directly?"""
