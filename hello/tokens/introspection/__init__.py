"""What does a token say that only its issuer can read (RFC 7662)?"""
