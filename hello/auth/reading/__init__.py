"""What is read from a request, and what of it is believed?"""
