"""What do several tests use?"""
