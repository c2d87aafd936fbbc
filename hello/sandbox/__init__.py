"""An issuer and a client for this machine only: the API can be tried without any account."""
