"""Whose tokens are trusted, and which keys do they sign with?"""
