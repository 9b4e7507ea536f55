"""Has what comes in or goes out changed by more than is tolerated?"""
