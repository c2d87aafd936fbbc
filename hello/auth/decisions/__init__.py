"""What was decided about a request, and who is told?"""
