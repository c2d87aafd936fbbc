"""What does an operator see of a running API: health, metrics, traces?"""
